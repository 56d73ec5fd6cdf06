package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"

	"loginhub/api"
	"loginhub/hub"
)

// startAdmin starts the operator's listener. If the default address is in use, by
// another node or another program, the node runs without the listener. An address
// that was set must work.
func (a *App) startAdmin(node *hub.Hub, server *api.Server) (*http.Server, error) {
	const standard = "127.0.0.1:9090"
	if a.set.AdminListen == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", a.set.AdminListen)
	if err != nil {
		if a.set.AdminListen == standard {
			a.log.Warn("no metrics and no kill switch on this node: the admin address is taken; set LOGINHUB_ADMIN_LISTEN", "error", err)
			return nil, nil
		}
		return nil, listenError("LOGINHUB_ADMIN_LISTEN", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler())
	killSwitch{node, server.Clients}.mount(mux)
	mux.HandleFunc("POST /clients/{id}/sessions/{sub}/end", func(w http.ResponseWriter, r *http.Request) { endSessions(w, r, server) })
	mux.HandleFunc("POST /keys/{kid}/revoke", func(w http.ResponseWriter, r *http.Request) { revokeKey(w, r, node) })
	// Not pprof.Cmdline: flags can hold secrets.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	admin := &http.Server{Handler: rejectBrowsers(mux, allowedHosts(listener.Addr(), a.set.AdminListen)), ReadHeaderTimeout: headerTimeout, ErrorLog: newServerErrors(a.log)}
	go func() { // ends with admin.Close in App.Run
		if err := admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin listener", "error", err)
		}
	}()
	return admin, nil
}

// rejectBrowsers refuses requests that pages in a browser send. Each client that
// reaches this listener has an operator's rights, but a page that an operator opens
// must not have them. Browsers mark their requests with Origin or Sec-Fetch-Site. A
// GET that a person types into the address bar is allowed; its Sec-Fetch-Site is
// "none".
//
// To a plain http address a browser may send a GET without either header. The page of
// another site cannot read that response, unless its host name resolves to this
// address (DNS rebinding). The Host header reveals that case. names are the allowed
// hosts; nil allows any.
func rejectBrowsers(next http.Handler, names map[string]bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, origin := r.Header["Origin"]
		site, fetched := r.Header["Sec-Fetch-Site"]
		typed := r.Method == http.MethodGet && len(site) == 1 && site[0] == "none"
		switch {
		case origin || fetched && !typed:
			http.Error(w, "not for pages in browsers: use curl, or type the address of a GET", http.StatusForbidden)
		case names != nil && !names[hostname(r.Host)]:
			http.Error(w, "not for this Host: name the address that LOGINHUB_ADMIN_LISTEN names, or localhost", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
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
