package login

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
)

// Providers is GET /api/login/providers: what an app may name in its calls. It holds for
// the hub; a client may accept fewer.
func (l *Handlers) Providers(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string][]gate.PhoneProvider{"providers": gate.ConfigOf(c).PhoneProviders()})
}
