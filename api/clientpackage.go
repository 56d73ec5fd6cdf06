package api

import (
	"bytes"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/frontend"
)

// clientPackage is GET /client.tgz, which npm installs. With ?v= it answers with that
// content or none, so that caches may keep the answer.
func clientPackage(p frontend.ClientPackage) echo.HandlerFunc {
	return func(c echo.Context) error {
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
}
