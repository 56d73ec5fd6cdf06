package api

import (
	"net/http"
	"regexp"
	"strings"

	"loginhub/hub/ticket"
)

const (
	// hsts keeps browsers on https for a year (RFC 6797). Nothing is said of
	// other hosts of the domain: they are not the hub's.
	hsts = "max-age=31536000"
	// permissionsPolicy takes from pages, and from what frames them, what no login
	// needs (Permissions Policy, W3C).
	permissionsPolicy = "accelerometer=(), autoplay=(), bluetooth=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), " +
		"gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), serial=(), usb=()"
)

// frameAncestorsSelf is the directive of the policy that says who may frame a page.
const frameAncestorsSelf = "frame-ancestors 'self'"

// originPattern is an origin without a character that means something in a policy.
var originPattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+$`)

// allowFraming lets the client's own sites frame its login page, besides the hub
// itself: who could frame it elsewhere could hide what is confirmed.
func allowFraming(h http.Header, client *ticket.Client) {
	sources := []string{frameAncestorsSelf}
	for _, origin := range client.Origins {
		if originPattern.MatchString(origin) {
			sources = append(sources, origin)
		}
	}
	csp := h.Get("Content-Security-Policy")
	h.Set("Content-Security-Policy", strings.Replace(csp, frameAncestorsSelf, strings.Join(sources, " "), 1))
}

// denyFraming keeps a page out of every frame: on the phone's page a person decides.
func denyFraming(h http.Header) {
	csp := h.Get("Content-Security-Policy")
	h.Set("Content-Security-Policy", strings.Replace(csp, frameAncestorsSelf, "frame-ancestors 'none'", 1))
	h.Set("X-Frame-Options", "DENY") // browsers before CSP level 2
}
