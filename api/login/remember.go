package login

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub/ticket"
)

// knownCookie is the name of the cookie in which a browser keeps who has logged in with it
// (number_matching: auto).
const knownCookie = "known"

// knownUsers returns the tags of the client's users that the browser's cookie has. own: the
// hub's own page asks.
func (l *Handlers) knownUsers(c echo.Context, client string, own bool) ticket.KnownTags {
	if !own {
		return nil
	}
	return l.gate.Hub.Keys().KnownUsers(l.knownCookie(c), client, l.gate.Hub.Now())
}

// knownCookie returns the value of the browser's cookie; "" if it has none, or several.
func (l *Handlers) knownCookie(c echo.Context) string {
	all := c.Request().CookiesNamed(l.gate.CookieName(knownCookie))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// Remember is POST …/remember: the hub's own page, whose user has confirmed, keeps this in a
// cookie of its browser. The next login of this user here is not a new browser's.
func (l *Handlers) Remember(c echo.Context) error {
	id, err := readCall(c, &struct{}{})
	if err != nil {
		return err
	}
	if err := l.remember(c, id); err != nil {
		return l.gate.AuditDenied("remember", id, c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (l *Handlers) remember(c echo.Context, id ticket.ID) error {
	if err := request.CheckBearer(c.Request(), id); err != nil {
		return err
	}
	t, err := l.gate.Hub.Get(c.Request().Context(), id)
	if err != nil {
		return err
	}
	client, err := gate.ConfigOf(c).ClientOf(t)
	if err != nil {
		return err
	}
	switch {
	case !gate.OwnPage(c):
		return gate.ErrNotOwnPage
	case !client.AutoMatching:
		return echo.ErrNotFound
	case t.State == ticket.Expired:
		return ticket.ErrExpired
	case t.State != ticket.Confirmed && t.State != ticket.Consumed:
		return ticket.ErrNotConfirmed
	}
	value, err := l.gate.Hub.Keys().Remember(l.knownCookie(c), t, l.gate.Hub.Now())
	if err != nil {
		return err
	}
	c.SetCookie(l.gate.NewCookie(knownCookie, value, int(ticket.KnownLife/time.Second)))
	return nil
}
