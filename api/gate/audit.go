package gate

import (
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// AuditDenied records in the audit log that a browser did not send the ticket's
// secret, or has an origin that is not allowed or not the hub's own. It returns err unchanged.
func (g *Gate) AuditDenied(action string, id ticket.ID, c echo.Context, err error) error {
	var origin *OriginError
	switch {
	case errors.As(err, &origin):
		return g.AuditRefusal(action, ticket.Ticket{ID: id, Client: origin.Client}, c, err)
	case errors.Is(err, ticket.ErrInvalidSecret), errors.Is(err, ErrNotOwnPage):
		return g.AuditRefusal(action, ticket.Ticket{ID: id}, c, err)
	}
	return err
}

// AuditRefusal records in the audit log that a browser's request is refused
// with err, and returns err. t holds what is known of the ticket.
// maxAuditDenials bounds the records of one address.
func (g *Gate) AuditRefusal(action string, t ticket.Ticket, c echo.Context, err error) error {
	c.Set(refusedClient, t.Client)
	_, code := g.outcome(err)
	from := g.Addr(c)
	if g.Limits.AuditDenials.Allow(from.RateKey, time.Now()) != nil {
		return err
	}
	t.Address = from.AuditAddr
	g.Hub.AuditRefusal(c.Request().Context(), action, t, code, err)
	return err
}

// refusedClient is the key of the echo context under which AuditRefusal keeps the client.
const refusedClient = "refused_client"

// RefusedClient returns the client of a request that AuditRefusal has recorded; "" if it
// is not known.
func RefusedClient(c echo.Context) string {
	id, _ := c.Get(refusedClient).(string)
	return id
}
