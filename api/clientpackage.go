package api

import (
	"bytes"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// serveClientPackage is GET /client.tgz, which npm installs. With ?v= it answers with that
// content or none, so that caches may keep the answer.
func (s *Server) serveClientPackage(c echo.Context) error {
	p, err := s.clientPackage()
	if err != nil {
		return err
	}
	caching := "no-cache" // revalidate each time: the next version has the same URL
	switch c.QueryParam("v") {
	case "":
	case p.Hash():
		caching = "public, max-age=31536000, immutable"
	default:
		return errRoute
	}
	h := c.Response().Header()
	h.Set("ETag", `"`+p.Hash()+`"`)
	h.Set("Cache-Control", caching)
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Type", "application/gzip")
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(p.Archive))
	return nil
}
