package main

import (
	"encoding/json"
	"net/http"
	"time"

	"loginhub/cmd/loginhub/status"
	"loginhub/frontend"
)

// adminCSP is the Content-Security-Policy of the admin page: nothing inline, nothing from
// other hosts, no frames and no form that the browser sends by itself.
const adminCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

// adminPage serves the page for people on the admin address. It contains no data:
//
//	GET /              the page
//	GET /admin/{file}  its script, style sheet and picture
//	GET /admin/status  what it shows, as JSON
type adminPage struct {
	app    *App
	guard  *adminGuard
	sites  killSwitch
	assets map[string]frontend.Asset
}

func (p adminPage) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", p.file)
	mux.HandleFunc("GET /admin/{file}", p.file)
	mux.HandleFunc("GET /admin/status", p.status)
}

func (p adminPage) file(w http.ResponseWriter, r *http.Request) {
	asset, ok := p.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", asset.Kind)
	h.Set("Content-Security-Policy", adminCSP)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(asset.Body) // the caller is gone
}

// adminStatus is what the page shows. Refused and Config are only for operators: addresses
// are personal data.
type adminStatus struct {
	Time time.Time `json:"time"`
	// Access says what the caller may do: "operator" everything; "token" asks for the
	// token; "closed" means that a page may change nothing, because there is no token and
	// the address is not a loopback address.
	Access     string             `json:"access"`
	Version    string             `json:"version"`
	Nodes      []status.Node      `json:"nodes"`
	NodesError string             `json:"nodes_error,omitempty"` // the list of nodes is older than it should be
	Clients    []loginState       `json:"clients"`
	Refused    []status.Refusal   `json:"refused,omitempty"`
	Config     []effectiveSetting `json:"config,omitempty"`
}

func (p adminPage) status(w http.ResponseWriter, r *http.Request) {
	access := p.guard.access(r)
	if access == accessToken && r.Header.Get("Authorization") != "" {
		p.guard.refuseToken(w, r, "GET /admin/status")
		return
	}
	nodes, err := p.app.fleet.Nodes()
	s := adminStatus{Time: time.Now().UTC().Truncate(time.Second), Access: access, Version: version(), Nodes: nodes}
	if err != nil {
		s.NodesError = err.Error()
	}
	s.Clients, _ = p.sites.states()
	if access == accessOperator {
		s.Refused, s.Config = p.app.refusals.Last(), p.app.effective
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s) // the caller is gone
}
