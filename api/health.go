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
