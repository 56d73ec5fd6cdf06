package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
)

// jwks is GET /.well-known/jwks.json (RFC 7517). It contains older keys too,
// because tokens signed with them may still be valid. Caches keep it for a
// shorter time than a key rotation waits.
func (s *Server) jwks(c echo.Context) error {
	if err := s.gate.Hub.MasterKeys.Check(); err != nil {
		return err // a starting node may have a key that was revoked
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	c.Response().Header().Set("Access-Control-Allow-Origin", "*")
	return c.JSON(http.StatusOK, gate.ConfigOf(c).Signer.JWKS())
}
