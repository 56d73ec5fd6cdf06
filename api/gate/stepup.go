package gate

import (
	"github.com/labstack/echo/v4"

	"loginhub/api/request"
	"loginhub/hub/ticket"
)

// addressRisk returns what is unusual about the addresses of phone and browser, for clients
// with number_matching: auto. Countries are compared if both are known. An address of a private network is known, not hidden: phone and
// browser are then in the operator's own network. The ticket itself has whether the
// browser's address is hidden.
func (g *Gate) addressRisk(t ticket.Ticket, phone request.Addr) ticket.Risk {
	if t.Auto == 0 {
		return ticket.NoRisk
	}
	if phone.Unverified {
		return ticket.RiskHiddenAddress
	}
	pc, hand := g.places.Lookup(t.Address).Country, g.places.Lookup(phone.Display).Country
	if pc != "" && hand != "" && pc != hand {
		return ticket.RiskCountry
	}
	return ticket.NoRisk
}

// OwnPage reports whether a browser's request comes from the hub's own page. Only such a
// request may use the cookie of the browser's known users: a site's page cannot have it.
func OwnPage(c echo.Context) bool {
	origins := c.Request().Header.Values("Origin")
	return len(origins) == 1 && ConfigOf(c).ownOrigins[origins[0]]
}
