// Package events has the endpoint of the notifications that providers send to the hub. A
// notification may scan a ticket for the user whom it names; it never confirms.
package events

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Paths of the endpoint. The second names the provider, for a hub with several.
const (
	Path      = "/api/wechat/events"
	NamedPath = Path + "/:provider"
)

// maxBody bounds a notification, in bytes. Those of WeChat have less than 2,000.
const maxBody = 16 << 10

// Options configure Handlers.
type Options struct {
	// Link returns the link under which the user of a scanned ticket decides.
	Link func(ctx context.Context, t ticket.Ticket) (string, error)
	// Outcome returns the code that answers an error.
	Outcome func(error) (status int, code string)
}

// Handlers are the endpoint of notifications.
type Handlers struct {
	gate *gate.Gate
	Options
}

// New returns the endpoint of notifications.
func New(g *gate.Gate, o Options) *Handlers { return &Handlers{g, o} }

// Receive is GET and POST /api/wechat/events and /api/wechat/events/{provider}.
func (h *Handlers) Receive(c echo.Context) error {
	r := c.Request()
	providers := gate.ConfigOf(c).EventProviders(c.Param("provider"))
	if len(providers) == 0 {
		return echo.ErrNotFound
	}
	if err := h.gate.Limits.Events.Allow(h.gate.Addr(c).RateKey, time.Now()); err != nil {
		return err
	}
	body, err := readBody(c)
	if err != nil {
		return err
	}
	n := provider.Notification{Method: r.Method, Query: c.QueryParams(), Body: body}
	var answer provider.Answer
	for _, p := range providers {
		answer, err = p.Events.Receive(r.Context(), n, func(ctx context.Context, s provider.Scan) provider.Prompt {
			return h.scan(ctx, c, p, s)
		})
		if !errors.Is(err, provider.ErrEventInvalid) {
			break // it is this provider's
		}
	}
	if err != nil {
		return h.gate.AuditRefusal("event", ticket.Ticket{}, c, err)
	}
	return c.Blob(http.StatusOK, answer.Type, answer.Body)
}

// readBody returns the body of a POST.
func readBody(c echo.Context) ([]byte, error) {
	if c.Request().Method != http.MethodPost {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, request.ErrTooLarge
	case err != nil:
		return nil, request.Invalid("body: incomplete")
	}
	return body, nil
}

// scan runs the scan of a notification and returns what the user sees.
func (h *Handlers) scan(ctx context.Context, c echo.Context, p *provider.Provider, s provider.Scan) provider.Prompt {
	call, err := h.gate.RunScan(ctx, c, p, s)
	var link string
	if err == nil {
		link, err = h.Link(ctx, call.Current())
	}
	if err != nil {
		status, code := h.Outcome(err)
		if status >= http.StatusInternalServerError {
			h.gate.Log.WarnContext(ctx, "a scan failed", "provider", p.ID, "code", code, "error", err)
		}
		return provider.Prompt{Refusal: code}
	}
	t := call.Current()
	_, host, _ := strings.Cut(t.Origin, "://")
	client := gate.ConfigOf(c).ClientByID[t.Client]
	return provider.Prompt{Client: client.Label("zh"), Host: host, Link: link}
}
