package main_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// basic is the Authorization header of the Basic scheme (RFC 7617).
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// TestExchange_DeliveryCode: the page gets a code, the same from every node, and never the
// token. Refused exchanges spend nothing; of the accepted ones the first gets the token.
func TestExchange_DeliveryCode(t *testing.T) {
	t.Parallel()
	const secret = "0123456789+abc/secret="
	file := hubtest.WriteFile(t, "secret", secret)
	_, nodes := cluster(t, 2, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", fmt.Sprintf(`clients:
  - {id: site, delivery: code, secret_file: %s}
  - {id: other, delivery: code, secret_file: %s}
  - {id: plain}
`, file, file)))
	ctx := hubtest.Context(t, 60*time.Second)
	p, err := hubtest.CreateTicket(ctx, nodes[0].URL, map[string]string{"client_id": "site", "nonce": "n-1"})
	if err != nil {
		t.Fatal(err)
	}
	phone := hubtest.NewPhone("alice")
	for _, action := range []string{"scan", "confirm"} {
		if err := hubtest.CallOK(ctx, phone, nodes[1].URL, p.ID, action); err != nil {
			t.Fatal(err)
		}
	}
	code := deliveredCode(t, ctx, p, nodes[0])
	if other := deliveredCode(t, ctx, p, nodes[1]); other != code {
		t.Errorf("two codes: %s, %s", code, other)
	}
	for _, c := range []struct {
		name, authorization, code, nonce, want string
		status                                 int
	}{
		{"no secret", "", code, "n-1", "invalid_secret", 401},
		{"wrong secret", basic("site", "0123456789abcdef"), code, "n-1", "invalid_secret", 401},
		{"client without delivery code", basic("plain", secret), code, "n-1", "invalid_secret", 401},
		{"no code", basic("site", secret), "", "n-1", "invalid_request", 400},
		{"half a code", basic("site", secret), code[:30], "n-1", "ticket_not_found", 404},
		{"another code", basic("site", secret), code[:len(code)-4] + "AAAA", "n-1", "ticket_not_found", 404},
		{"another client", basic("other", secret), code, "n-1", "ticket_not_found", 404},
		{"another nonce", basic("site", secret), code, "n-2", "invalid_request", 400},
		{"no nonce", basic("site", secret), code, "", "invalid_request", 400},
		{"accepted", basic("site", "0123456789%2Babc%2Fsecret%3D"), code, "n-1", "", 200}, // as libraries of OAuth encode it
		{"repeated", basic("site", secret), code, "n-1", "ticket_closed", 409},
	} {
		a, err := hubtest.Request(ctx, "POST", nodes[1].URL+"/api/login/exchange", map[string]string{"code": c.code, "nonce": c.nonce}, "Authorization", c.authorization)
		if err != nil || a.Status != c.status || a.Code != c.want || strings.Contains(a.Detail, " new ") { // "Load a new code" is for pages
			t.Fatalf("%s: %+v %v, wanted %d %s", c.name, a, err, c.status, c.want)
		}
		if c.status != 200 {
			continue
		}
		var got struct{ Token string }
		if err := a.Decode(200, &got); err != nil {
			t.Fatal(err)
		}
		claims, _, err := verifyToken(ctx, nodes[0].URL, got.Token)
		if err != nil || claims["sub"] != "sandbox:alice" || claims["aud"] != "site" || claims["nonce"] != "n-1" {
			t.Errorf("claims %v: %v", claims, err)
		}
	}
	hubtest.Eventually(t, 10*time.Second, "the audit has each refusal", func() bool {
		log := nodes[1].Log()
		return strings.Count(log, `"action":"exchange"`) == 9 && strings.Contains(log, `"outcome":"ticket_closed"`) // without the one that has no code
	})
	if a, err := p.Ack(ctx, nodes[0].URL, 3); err != nil || a.Status != http.StatusNoContent {
		t.Errorf("ack after the exchange: %+v %v", a, err)
	}
}

// deliveredCode polls the confirmed view of a node, which has a code and no token.
func deliveredCode(t *testing.T, ctx context.Context, p *hubtest.Ticket, n *hubtest.Node) string {
	t.Helper()
	var view struct{ Code, Token string }
	a, err := p.PollResponse(ctx, n.URL, 0, 0)
	if err == nil {
		err = a.Decode(http.StatusOK, &view)
	}
	if err != nil || view.Code == "" || view.Token != "" {
		t.Fatalf("view %+v: %v", view, err)
	}
	return view.Code
}
