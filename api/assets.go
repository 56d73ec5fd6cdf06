package api

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/frontend"
)

// Cache-Control of assets. A name with the content's hash never changes its content. Sites embed the
// modules below client/ under names that stay, so a new version reaches their users within minutes.
const (
	cacheForGood    = "public, max-age=31536000, immutable"
	cacheMinutes    = "public, max-age=300"
	cacheRevalidate = "no-cache"
)

// asset is GET /assets/…. Sites load the client module from here, so all origins may read it.
func asset(c echo.Context) error {
	name := c.Param("*")
	file, hashed, ok := frontend.FindAsset(name)
	if branded, found := brandAsset(c, name); found {
		file, hashed, ok = branded, true, true
	}
	switch {
	case !ok:
		return errRoute
	case hashed:
		return serveAsset(c, file, cacheForGood)
	case strings.HasPrefix(name, "client/"):
		return serveAsset(c, file, cacheMinutes)
	}
	return serveAsset(c, file, cacheRevalidate)
}

// brandAsset returns a logo or the colours of a client.
func brandAsset(c echo.Context, name string) (frontend.Asset, bool) {
	if !strings.HasPrefix(name, "brand/") {
		return frontend.Asset{}, false
	}
	for _, site := range gate.ConfigOf(c).Clients {
		if body, kind := site.Branding.File(name); body != nil {
			return frontend.Asset{Kind: kind, Hash: strings.TrimPrefix(name, "brand/"), Body: body, Gzip: func() []byte { return nil }}, true
		}
	}
	return frontend.Asset{}, false
}

// serveAsset answers with the file, compressed if the browser accepts that, or with 304 if the ETag
// matches.
func serveAsset(c echo.Context, file frontend.Asset, cache string) error {
	h, body, tag := c.Response().Header(), file.Body, file.Hash
	if small := file.Gzip(); small != nil {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request().Header) {
			body, tag = small, tag+"-gzip"
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Cache-Control", cache)
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Type", file.Kind)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(body))
	return nil
}

// acceptsGzip reports whether the request accepts gzip (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	wanted, named := accepts(h.Values("Accept-Encoding"), "gzip")
	if !named {
		wanted, _ = accepts(h.Values("Accept-Encoding"), "*")
	}
	return wanted
}

// accepts reports whether a field such as Accept names a value, and whether its weight is above zero.
func accepts(field []string, value string) (wanted, named bool) {
	for _, entry := range strings.Split(strings.Join(field, ","), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(entry), ";")
		if strings.TrimSpace(name) == value {
			return !noWeight(weight), true
		}
	}
	return false, false
}

// noWeight reports whether a weight such as "q=0.000" is zero.
func noWeight(weight string) bool {
	value, ok := strings.CutPrefix(strings.TrimSpace(weight), "q=")
	return ok && strings.Trim(value, "0.") == ""
}
