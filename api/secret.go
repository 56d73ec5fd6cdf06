package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// ticketID returns the ticket id of the path.
func ticketID(c echo.Context) (ticket.ID, error) { return ticket.ParseID(c.Param("ticket")) }

// bearer checks the ticket's secret in the Authorization header (RFC 6750,
// section 2.1).
func bearer(r *http.Request, id ticket.ID) error {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ticket.ErrInvalidSecret
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ticket.ErrInvalidSecret
	}
	return checkSecret(strings.TrimSpace(text), id)
}

// checkSecret checks that text is the secret of the ticket. It compares in
// constant time.
func checkSecret(text string, id ticket.ID) error {
	secret, err := ticket.ParseSecret(text)
	if err != nil {
		return err
	}
	if !secret.Matches(id) {
		return ticket.ErrInvalidSecret
	}
	return nil
}
