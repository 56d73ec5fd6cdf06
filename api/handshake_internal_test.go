package api

import (
	"net/http"
	"slices"
	"testing"

	"loginhub/api/login"
	"loginhub/hub"
	"loginhub/hub/ticket"
)

// requireDocumented fails the test if the error has no row in the problem table.
func requireDocumented(t *testing.T, err error) {
	t.Helper()
	if _, code := outcome(err); code == "internal_error" {
		t.Errorf("not in the problem table: %v", err)
	}
}

func FuzzHandshake(f *testing.F) {
	const secret = "YW4gYXJiaXRyYXJ5IHNlY3JldCBmb3IgdGhlIHRlc3Q"
	parsed, err := ticket.ParseSecret(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Upgrade", "websocket", "13", "AAECAwQFBgcICQoLDA0ODw==", "loginhub.v1, loginhub.secret."+secret)
	f.Add("keep-alive, upgrade", "h2c,WebSocket", "13", "", ",,loginhub.v1,")
	f.Add("", "", "", "x", "loginhub.secret.,loginhub.v1")
	f.Fuzz(func(t *testing.T, connection, upgrade, version, key, protocols string) {
		r := &http.Request{Method: "GET", Header: http.Header{"Connection": {connection}, "Upgrade": {upgrade},
			"Sec-Websocket-Version": {version}, "Sec-Websocket-Key": {key}, "Sec-Websocket-Protocol": {protocols}}}
		offered, err := login.Handshake(r)
		if err != nil {
			requireDocumented(t, err)
			return
		}
		if !slices.Contains(offered, hub.Protocol) || version != "13" {
			t.Errorf("%q with version %q was accepted", protocols, version)
		}
		err = login.CheckOfferedSecret(offered, parsed.ID())
		requireDocumented(t, err)
		if err == nil && !slices.Contains(offered, login.SecretProtocol+secret) {
			t.Errorf("%q is accepted", protocols)
		}
	})
}
