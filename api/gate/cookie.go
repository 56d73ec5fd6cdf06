package gate

import (
	"net/http"
	"strings"
)

// CookieName returns the name of a cookie of the hub. With __Host- no other host of the
// domain can set it (RFC 6265bis).
func (g *Gate) CookieName(name string) string {
	if strings.HasPrefix(g.PublicURL, "https://") {
		return "__Host-loginhub-" + name
	}
	return "loginhub-" + name
}

// NewCookie returns a cookie of the hub. It is SameSite=Lax because a provider's page
// returns from another site by a top-level GET. A negative age (seconds) deletes it.
func (g *Gate) NewCookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: g.CookieName(name), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(g.PublicURL, "https://"), SameSite: http.SameSiteLaxMode}
}
