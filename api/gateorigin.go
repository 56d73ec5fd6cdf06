package api

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

// errOrigin means that a page's origin is not on the list of its client.
var errOrigin = errors.New("origin not allowed")

const maxLoggedOrigin = 200 // bytes

// checkOrigin returns a check of the request's origin against the list of the
// ticket's client.
func (g *gate) checkOrigin(c echo.Context) func(ticket.Ticket) error {
	return func(t ticket.Ticket) error {
		cfg := activeConfigOf(c)
		client, err := cfg.clientOf(t)
		if err != nil {
			return err
		}
		return cfg.checkOrigin(client, c.Request())
	}
}

// browser returns the request's browser with its check authorize.
func (g *gate) browser(c echo.Context, authorize func(ticket.Ticket) error) hub.Browser {
	return hub.Browser{Authorize: authorize, Addr: g.addr(c).AuditAddr}
}

// loopbackOrigin matches the origins that the sandbox always allows: a site that
// is developed on the same machine.
var loopbackOrigin = regexp.MustCompile(`^https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$`)

// checkOrigin returns an *originError unless the client allows every Origin
// header of the request. A request without one is not a cross-site request of a
// browser and is allowed.
func (cfg *activeConfig) checkOrigin(client *client.Client, r *http.Request) error {
	for _, origin := range r.Header.Values("Origin") {
		allowed := origin != "" && client.AllowsOrigin(origin) || cfg.ownOrigins[origin] ||
			cfg.Sandbox && loopbackOrigin.MatchString(origin)
		if !allowed {
			return &originError{client.ID, origin[:min(len(origin), maxLoggedOrigin)]}
		}
	}
	return nil
}

// originError is errOrigin with the names that the operator needs.
type originError struct{ client, origin string }

func (e *originError) Error() string {
	return fmt.Sprintf("origin %q is not on the list of client %s", e.origin, e.client)
}
func (e *originError) Unwrap() error { return errOrigin }
