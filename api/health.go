package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// healthz is GET /healthz: the process answers. It does not ask Redis, for a
// restart would not mend that.
func (s *Server) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "alive"})
}

// readyz is GET /readyz: Redis and mailbox proven, not draining.
func (s *Server) readyz(c echo.Context) error {
	if err := s.Hub.Ready(); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

// jwks is GET /.well-known/jwks.json. Every key, also an older one, for tokens
// that are still on their way; cached shorter than a rotation's wait.
func (s *Server) jwks(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	c.Response().Header().Set("Access-Control-Allow-Origin", "*")
	return c.JSON(http.StatusOK, resolved(c).Signer.JWKS())
}
