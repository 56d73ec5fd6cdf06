package main

import (
	"errors"
	"net/http"

	"loginhub/api"
	"loginhub/api/oidc"
)

// maxAdminParam is the longest sub or sid, in bytes.
const maxAdminParam = 255

// endSessions is POST /clients/{id}/sessions/{sub}/end on the operator's listener: 204.
// The tokens of the user at that client end on all nodes, and the client gets a logout
// token. ?sid= ends one login only.
func endSessions(w http.ResponseWriter, r *http.Request, server *api.Server) {
	id, sub, sid := r.PathValue("id"), r.PathValue("sub"), r.URL.Query().Get("sid")
	if len(sub) > maxAdminParam || len(sid) > maxAdminParam {
		http.Error(w, "sub and sid have at most 255 bytes", http.StatusBadRequest)
		return
	}
	switch err := server.EndUser(r.Context(), id, sub, sid); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, oidc.ErrNoClient):
		http.Error(w, "no client of that id has OpenID Connect", http.StatusNotFound)
	case errors.Is(err, oidc.ErrNeedsSession):
		http.Error(w, "the client has backchannel_logout_session_required: name the login with ?sid=, which its ID token has", http.StatusConflict)
	default:
		http.Error(w, "Redis does not answer: nothing is certain; try again", http.StatusServiceUnavailable)
	}
}
