package request

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// TicketID returns the ticket id of the path.
func TicketID(c echo.Context) (ticket.ID, error) { return ticket.ParseID(c.Param("ticket")) }

// CheckBearer checks the ticket's secret in the Authorization header (RFC 6750,
// section 2.1).
func CheckBearer(r *http.Request, id ticket.ID) error {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ticket.ErrInvalidSecret
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ticket.ErrInvalidSecret
	}
	return CheckSecret(strings.TrimSpace(text), id)
}

// CheckSecret checks that text is the secret of the ticket. It compares in
// constant time.
func CheckSecret(text string, id ticket.ID) error {
	secret, err := ticket.ParseSecret(text)
	if err != nil {
		return err
	}
	if !secret.Matches(id) {
		return ticket.ErrInvalidSecret
	}
	return nil
}
