package gate

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// ErrOrigin means that a page's origin is not on the list of its client.
var ErrOrigin = errors.New("origin not allowed")

// ErrNotOwnPage means that a request is not one of a page of the hub.
var ErrNotOwnPage = errors.New("not a page of the hub")

const maxLoggedOrigin = 200 // bytes

// CheckOrigin returns a check of the request's origin against the list of the
// ticket's client.
func (g *Gate) CheckOrigin(c echo.Context) func(ticket.Ticket) error {
	return func(t ticket.Ticket) error {
		cfg := ConfigOf(c)
		client, err := cfg.ClientOf(t)
		if err != nil {
			return err
		}
		return cfg.CheckOrigin(client, c.Request())
	}
}

// Browser returns the request's browser with its check authorize.
func (g *Gate) Browser(c echo.Context, authorize func(ticket.Ticket) error) hub.Browser {
	return hub.Browser{Authorize: authorize, Addr: g.Addr(c).AuditAddr}
}

// loopbackOrigin matches the origins that the sandbox always allows: a site that
// is developed on the same machine.
var loopbackOrigin = regexp.MustCompile(`^https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$`)

// CheckOrigin returns an *OriginError unless the client allows every Origin
// header of the request. A request without one is not a cross-site request of a
// Browser and is allowed.
func (cfg *Config) CheckOrigin(client *client.Client, r *http.Request) error {
	for _, origin := range r.Header.Values("Origin") {
		allowed := origin != "" && client.AllowsOrigin(origin) || cfg.ownOrigins[origin] ||
			cfg.Sandbox && loopbackOrigin.MatchString(origin)
		if !allowed {
			return &OriginError{client.ID, origin[:min(len(origin), maxLoggedOrigin)]}
		}
	}
	return nil
}

// OriginError is ErrOrigin with the names that the operator needs.
type OriginError struct{ Client, Origin string }

func (e *OriginError) Error() string {
	return fmt.Sprintf("origin %q is not on the list of client %s", e.Origin, e.Client)
}
func (e *OriginError) Unwrap() error { return ErrOrigin }
