package main

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/netip"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// killSwitch serves the kill switch on the operator's listener:
//
//	GET /clients               [{"id":"demo","label":"Demo","label_zh":"演示","enabled":true}]
//	PUT /clients/{id}/login    {"enabled":false}    204; all nodes follow within seconds
//
// The listener has no users: each client with the token is an operator (adminGuard).
type killSwitch struct {
	hub     *hub.Hub
	clients func() []*client.Client // the node's current clients
}

func (s killSwitch) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /clients", s.list)
	mux.HandleFunc("PUT /clients/{id}/login", s.put)
}

type loginState struct {
	ID      string `json:"id"`
	Label   string `json:"label"`
	LabelZH string `json:"label_zh"`
	Enabled bool   `json:"enabled"`
	// Unreadable means that this node answers the client's logins with 503 until an
	// operator switches it again.
	Unreadable bool `json:"unreadable,omitempty"`
}

func (s killSwitch) list(w http.ResponseWriter, _ *http.Request) {
	all, unreadable := s.states()
	if unreadable == len(all) {
		http.Error(w, "the switches could not be read (yet): the log says why", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(all)
}

// states returns the states of all clients, and of how many it could not be read.
func (s killSwitch) states() (all []loginState, unreadable int) {
	all = []loginState{}
	for _, c := range s.clients() {
		err := s.hub.CheckEnabled(c.ID)
		state := loginState{ID: c.ID, Label: c.Label("en"), LabelZH: c.Label("zh"), Enabled: err == nil, Unreadable: errors.Is(err, ticket.ErrStoreUnavailable)}
		if state.Unreadable {
			unreadable++
		}
		all = append(all, state)
	}
	return all, unreadable
}

func (s killSwitch) put(w http.ResponseWriter, r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil || kind != "application/json":
		http.Error(w, "Content-Type: application/json is required", http.StatusUnsupportedMediaType)
		return
	}
	var in struct {
		Enabled *bool `json:"enabled"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&in); err != nil || in.Enabled == nil {
		http.Error(w, `expected {"enabled":true} or {"enabled":false}`, http.StatusBadRequest)
		return
	}
	for _, c := range s.clients() {
		if c.ID != r.PathValue("id") {
			continue
		}
		err := s.hub.SetEnabled(r.Context(), c.ID, *in.Enabled, peerOf(r))
		if errors.Is(err, ticket.ErrNotReplicated) {
			http.Error(w, "switched, but not enough replicas of Redis have said that they have it: a failover may undo it; try again", http.StatusServiceUnavailable)
			return
		}
		if errors.Is(err, hub.ErrAuditStalled) {
			http.Error(w, "not switched: the audit log takes no lines, and LOGINHUB_AUDIT_REQUIRED is set; use another node, or make the audit log writable", http.StatusServiceUnavailable)
			return
		}
		if err != nil {
			http.Error(w, "Redis does not answer: nothing is certain; try again", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Error(w, "no such client", http.StatusNotFound)
}

// peerOf returns the address that the request comes from: the operator's machine, or
// a proxy of theirs.
func peerOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
