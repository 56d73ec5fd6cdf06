package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// adminGuard decides which requests the admin address serves.
type adminGuard struct {
	mux   *http.ServeMux
	token func() string   // the current token; "" if none is set
	hosts map[string]bool // allowed hosts; nil allows any
	log   *slog.Logger
}

// openRoutes are the routes that need no token: what monitoring reads, and the page that
// asks for the token. All others need it: profiles contain what is in the node's memory,
// keys included.
func openRoutes(pattern string) bool { return pattern == "GET /clients" || pageRoutes(pattern) }

// pageRoutes are the open routes that a browser needs.
func pageRoutes(pattern string) bool {
	switch pattern {
	case "GET /metrics", "GET /{$}", "GET /admin/{file}", "GET /admin/status":
		return true
	}
	return false
}

// ServeHTTP implements http.Handler.
func (g *adminGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(adminBodyTimeout)) // net/http's own writer supports it
	}
	if reason := g.foreign(r); reason != "" {
		adminProblem(w, http.StatusForbidden, "origin_not_allowed", reason)
		return
	}
	if _, pattern := g.mux.Handler(r); !openRoutes(pattern) && g.access(r) == accessToken {
		g.refuseToken(w, r, pattern)
		return
	}
	g.mux.ServeHTTP(w, r)
}

// What a caller may do.
const (
	accessOperator = "operator" // everything
	accessToken    = "token"    // the open routes: the token is missing or wrong
	accessClosed   = "closed"   // everything, but from a browser only pageRoutes: there is no token, and the Host may be any
)

// access returns what the caller may do.
func (g *adminGuard) access(r *http.Request) string {
	switch token := g.token(); {
	case token != "" && !hasToken(r, token):
		return accessToken
	case token == "" && g.hosts == nil:
		return accessClosed
	}
	return accessOperator
}

func (g *adminGuard) refuseToken(w http.ResponseWriter, r *http.Request, pattern string) {
	g.log.Warn("admin request refused: its token is missing or wrong", "method", r.Method, "route", pattern, "caller", peerOf(r))
	w.Header().Set("WWW-Authenticate", `Bearer realm="loginhub admin"`)
	adminProblem(w, http.StatusUnauthorized, "admin_token_required", "Send Authorization: Bearer TOKEN with the token of LOGINHUB_ADMIN_TOKEN_FILE.")
}

// foreign returns why a request that a page in a browser sends is refused; "" if it is
// not. A page of another site must not have the operator's rights, and a browser reaches
// addresses that the site's author does not. Browsers mark their requests with Origin or
// Sec-Fetch-Site. A GET that a person types into the address bar is allowed; its
// Sec-Fetch-Site is "none". So is a link to the admin page, which has no data.
//
// To a plain http address a browser may send a GET without either header. The page of
// another site cannot read that response, unless its host name resolves to this address
// (DNS rebinding). Then it has this address's origin too. On a loopback address the Host
// header reveals it. Another address may have any name: without a token a browser gets only
// what has no secret, and a profile is only for a Host that is an IP address or localhost.
func (g *adminGuard) foreign(r *http.Request) string {
	origin, fromPage := r.Header["Origin"]
	site, marked := r.Header["Sec-Fetch-Site"]
	get := r.Method == http.MethodGet
	own := len(origin) == 1 && isOriginOf(origin[0], r.Host)
	typed := get && len(site) == 1 && site[0] == "none"
	same := len(site) == 1 && site[0] == "same-origin" && (get || own)
	linked := get && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	switch {
	case fromPage && !own, marked && !typed && !same && !linked, typed && fromPage:
		return "Only the admin address's own page may send this from a browser. Use curl, or type the address of a GET."
	case g.hosts != nil && !g.hosts[hostname(r.Host)]:
		return "The Host is unknown. Name the address that LOGINHUB_ADMIN_LISTEN names, or localhost."
	case g.access(r) != accessClosed:
		return ""
	}
	_, pattern := g.mux.Handler(r)
	switch {
	case (fromPage || marked) && !pageRoutes(pattern):
		return "Set LOGINHUB_ADMIN_TOKEN_FILE to use this from a browser: this address is not a loopback address. Or use curl."
	case get && !openRoutes(pattern) && !isAddress(r.Host):
		return "Set LOGINHUB_ADMIN_TOKEN_FILE, or name an IP address as the host: a page of another site may have this host name."
	}
	return ""
}

// isAddress reports whether a Host header is an IP address or localhost, which no site has
// as its name.
func isAddress(host string) bool {
	name := hostname(host)
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost"
}

// isOriginOf reports whether the origin is that of a page of the host, http or https.
func isOriginOf(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && host != "" && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, host)
}

// hasToken compares the token of the Authorization header (RFC 6750, section 2.1), in
// constant time.
func hasToken(r *http.Request, token string) bool {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, given, _ := strings.Cut(values[0], " ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(strings.TrimSpace(given)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// adminProblem answers with an error (RFC 9457). It closes the connection: otherwise
// net/http first reads the rest of the body, and a slow caller delays the answer.
func adminProblem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail}) // the caller is gone
}

// allowedHosts returns the host names of a listener on a loopback address. It returns
// nil for a listener elsewhere, which may have any name.
func allowedHosts(bound net.Addr, configured string) map[string]bool {
	at, ok := bound.(*net.TCPAddr)
	if !ok || !at.IP.IsLoopback() {
		return nil
	}
	return map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, at.IP.String(): true, hostname(configured): true}
}

// hostname returns the host of a Host header or address, without port and brackets.
func hostname(host string) string { return strings.ToLower((&url.URL{Host: host}).Hostname()) }
