package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// ticketID reads the path's ticket.
func ticketID(c echo.Context) (ticket.ID, error) { return ticket.ParseID(c.Param("ticket")) }

// bearer checks that the request shows the ticket's secret in its Authorization
// header (RFC 6750, section 2.1).
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
