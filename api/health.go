package api

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// healthz is GET /healthz, the liveness check: the process answers, and with which
// version. It does not ask Redis, because a restart would not repair Redis.
func (s *Server) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "alive", "version": "v" + s.version})
}

// readyz is GET /readyz, the readiness check. It fails if Redis or the mailbox
// do not work, if a required audit log does not accept records, or if the node
// is draining.
func (s *Server) readyz(c echo.Context) error {
	if err := s.gate.Hub.Ready(); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}
