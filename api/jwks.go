package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// jwks is GET /.well-known/jwks.json. Every key, also an older one, for tokens
// that are still on their way; cached shorter than a rotation's wait.
func (s *Server) jwks(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	c.Response().Header().Set("Access-Control-Allow-Origin", "*")
	return c.JSON(http.StatusOK, activeConfigOf(c).Signer.JWKS())
}
