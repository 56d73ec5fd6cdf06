package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

// startAdmin starts the operator's listener. Its default address may be taken, by
// another node or another program; a chosen one must work.
func (a *App) startAdmin(node *hub.Hub, clients func() []*ticket.Client) (*http.Server, error) {
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
	mux.Handle("GET /metrics", a.metrics.handler())
	killSwitch{node, clients}.mount(mux)
	// Not pprof.Cmdline: flags can hold secrets.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: rejectBrowsers(mux, allowedHosts(listener.Addr(), a.set.AdminListen)), ReadHeaderTimeout: headerTimeout, ErrorLog: newServerErrors(a.log)}
	go func() { // ends with admin.Close in live
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin listener", "error", err)
		}
	}()
	return server, nil
}

// rejectBrowsers refuses what pages in a browser send: whoever reaches the listener
// is an operator, and a page that an operator looks at is none. A browser says so
// by Origin or Sec-Fetch-Site; it may still show what a person has typed into its
// address bar, which is a GET from "none". Towards a plain http address a GET may
// bear neither: the page of another site then cannot read the answer, unless its
// name has been made to lead here (DNS rebinding), which the Host gives away.
// names are the hosts that are ours; nil for any.
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

// allowedHosts are the hosts under which a listener on the loopback is asked for;
// nil for a listener elsewhere, which may have any name.
func allowedHosts(bound net.Addr, configured string) map[string]bool {
	at, ok := bound.(*net.TCPAddr)
	if !ok || !at.IP.IsLoopback() {
		return nil
	}
	return map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, at.IP.String(): true, hostname(configured): true}
}

// hostname is the host of a Host header or an address, without port and brackets.
func hostname(host string) string { return strings.ToLower((&url.URL{Host: host}).Hostname()) }
