package api

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"loginhub/hub/client"
)

const (
	// hsts makes browsers use https for a year (RFC 6797). It does not include
	// subdomains: those are not the hub's.
	hsts = "max-age=31536000"
	// permissionsPolicy disables the browser features that no login needs, for
	// pages and for what they frame (Permissions Policy, W3C). Browsers complain in
	// their console about a name that they do not know.
	permissionsPolicy = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), " +
		"gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), serial=(), usb=()"
)

// frameAncestorsSelf is the directive of csp that says which sites may frame a
// page.
const frameAncestorsSelf = "frame-ancestors 'self'"

// originPattern matches an origin that a Content-Security-Policy can name. It cannot name
// an IPv6 address (CSP Level 3, section 2.3.1), and browsers report one in their console.
var originPattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[A-Za-z0-9._:-]+$`)

// allowFraming lets the client's own sites frame its login page, besides the
// hub itself. Any other site could use a frame to hide what the user confirms.
func allowFraming(h http.Header, client *client.Client) {
	sources := []string{frameAncestorsSelf}
	for _, origin := range client.Origins {
		if originPattern.MatchString(origin) && !slices.Contains(sources, origin) {
			sources = append(sources, origin)
		}
	}
	csp := h.Get("Content-Security-Policy")
	h.Set("Content-Security-Policy", strings.Replace(csp, frameAncestorsSelf, strings.Join(sources, " "), 1))
}

// allowForm returns the policy with one more source in its last directive, form-action.
func allowForm(policy, origin string) string {
	_, forms, _ := strings.Cut(policy, "form-action ")
	if slices.Contains(strings.Fields(forms), origin) {
		return policy
	}
	return policy + " " + origin
}

// allowPictures returns the policy with pictures of the given hosts, over https.
func allowPictures(policy string, hosts []string) string {
	const own = "img-src 'self' data:"
	sources := own
	for _, host := range hosts {
		sources += " https://" + host
	}
	return strings.Replace(policy, own, sources, 1)
}

// denyFraming forbids all frames, because on the phone's page a person decides.
func denyFraming(h http.Header) {
	csp := h.Get("Content-Security-Policy")
	h.Set("Content-Security-Policy", strings.Replace(csp, frameAncestorsSelf, "frame-ancestors 'none'", 1))
	h.Set("X-Frame-Options", "DENY") // for browsers without CSP level 2
}
