package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"loginhub/api"
	"loginhub/frontend"
	"loginhub/hub"
)

// Limits of the admin listener; headerTimeout and maxHeaderBytes apply too.
const (
	adminBodyTimeout = 10 * time.Second // to send the request's body
	adminIdleTimeout = time.Minute      // between two requests
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
	assets, err := frontend.AdminAssets()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	guard := &adminGuard{mux: mux, token: a.reloader.adminToken, hosts: allowedHosts(listener.Addr(), a.set.AdminListen), log: a.log}
	mux.Handle("GET /metrics", a.metrics.Handler())
	sites := killSwitch{node, server.Clients}
	sites.mount(mux)
	adminPage{a, guard, sites, assets}.mount(mux)
	mux.HandleFunc("POST /clients/{id}/sessions/{sub}/end", func(w http.ResponseWriter, r *http.Request) { endSessions(w, r, server) })
	mux.HandleFunc("POST /keys/{kid}/revoke", func(w http.ResponseWriter, r *http.Request) { revokeKey(w, r, node) })
	// Not pprof.Cmdline: flags can hold secrets.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	admin := newAdminServer(guard)
	go func() { // ends with admin.Close in App.Run
		if err := admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin listener", "error", err)
		}
	}()
	return admin, nil
}

// newAdminServer returns the server of the admin address. It has no WriteTimeout: a profile
// takes 30 s or longer. It has no ReadTimeout, which would end the profile too: adminGuard
// bounds the time of a body.
func newAdminServer(g *adminGuard) *http.Server {
	return &http.Server{Handler: g, ReadHeaderTimeout: headerTimeout, IdleTimeout: adminIdleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: newServerErrors(g.log)}
}
