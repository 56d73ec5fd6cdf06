package main_test

import (
	"context"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// TestSealed_EveryNode: a page that sent a key gets its token encrypted, over socket and poll and
// from every node, with the same JWT in it. It costs no more commands.
func TestSealed_EveryNode(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 3)
	ctx := loginContext(t)
	stop := redis.Monitor(t)
	key, p := createWithKey(t, ctx, nodes[0].URL, nil)
	if err := p.attach(ctx, nodes[1].URL, "pending"); err != nil {
		t.Fatal(err)
	}
	mustCall(t, ctx, hubtest.NewPhone("alice"), nodes[2].URL, p.ID, "scan", "confirm")
	mustNext(t, ctx, p, "scanned")
	view := mustNext(t, ctx, p, "confirmed")
	first := mustDecrypt(t, key, view)
	if err := checkToken(ctx, nodes[2].URL, first, "sandbox:alice"); err != nil {
		t.Fatal(err)
	}
	if err := p.ackAndClose(ctx, view.Seq); err != nil {
		t.Fatal(err)
	}
	if commands := ticketCommands(stop(), p.ID); len(commands) != 7 {
		t.Errorf("%d commands, wanted 7:\n%s", len(commands), strings.Join(commands, "\n"))
	}

	key, p = createWithKey(t, ctx, nodes[0].URL, nil)
	mustCall(t, ctx, hubtest.NewPhone("alice"), nodes[2].URL, p.ID, "confirm")
	seen := map[string]bool{}
	var plain string
	for i, n := range nodes {
		polled, err := p.Poll(ctx, n.URL, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, attached := mustAttach(t, ctx, p, n.URL, "confirmed")
		for _, v := range []*hubtest.View{polled, attached} {
			token := mustDecrypt(t, key, v)
			if plain == "" {
				plain = token
			}
			if token != plain || seen[v.Token] {
				t.Errorf("node %d: another JWT, or one JWE twice: %+v", i, v)
			}
			seen[v.Token] = true
		}
	}
}

// createWithKey creates a ticket with a page's key.
func createWithKey(t *testing.T, ctx context.Context, url string, body map[string]any) (hubtest.PageKey, *waiter) {
	t.Helper()
	key, err := hubtest.NewPageKey()
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		body = map[string]any{}
	}
	body["jwk"] = key.JWK()
	ticket, err := hubtest.CreateTicket(ctx, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return key, &waiter{Ticket: ticket}
}

// mustDecrypt returns the JWT of a confirmed view, whose token must be encrypted.
func mustDecrypt(t *testing.T, key hubtest.PageKey, v *hubtest.View) string {
	t.Helper()
	if v == nil || v.TokenType != "JWE" || v.TokenExpiresIn < 290 {
		t.Fatalf("view %+v", v)
	}
	token, err := key.Decrypt(v.Token)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestSealed_RecordVersion1: nodes that write records of version 1 deliver the token as it is,
// and refuse a client that requires more.
func TestSealed_RecordVersion1(t *testing.T) {
	t.Parallel()
	n := hubtest.StartNode(t, program, "RECORD_VERSION=1")
	ctx := loginContext(t)
	_, p := createWithKey(t, ctx, n.URL, nil)
	mustCall(t, ctx, hubtest.NewPhone("alice"), n.URL, p.ID, "confirm")
	v, err := p.Poll(ctx, n.URL, 0, 0)
	if err != nil || v.TokenType != "Bearer" {
		t.Fatalf("view %+v, %v", v, err)
	}
	if err := checkToken(ctx, n.URL, v.Token, "sandbox:alice"); err != nil {
		t.Error(err)
	}
}
