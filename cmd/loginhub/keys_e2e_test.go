package main_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// publishedKIDs returns the kids of the Ed25519 keys that the node publishes, newest first.
func publishedKIDs(t testing.TB, ctx context.Context, url string) (all []string) {
	t.Helper()
	a, err := hubtest.Request(ctx, "GET", url+"/.well-known/jwks.json", nil)
	if err != nil || a.Status != 200 || a.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("jwks: %+v %v", a, err)
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(a.Body, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k["kty"] == "EC" || k["kty"] == "RSA" {
			continue
		}
		if k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["alg"] != "EdDSA" || k["use"] != "sig" || k["d"] != "" {
			t.Errorf("published key %v", k)
		}
		all = append(all, k["kid"])
	}
	return all
}

// rotation is the nodes while their keys change.
type rotation struct {
	redis   *hubtest.Redis
	nodes   []*hubtest.Node
	pending []*hubtest.Ticket // scanned, not confirmed
	phone   *hubtest.Phone
}

// restart gives node i other keys, as a rolling restart does.
func (r *rotation) restart(t *testing.T, i int, keys string) {
	t.Helper()
	if old := r.nodes[i]; old != nil {
		if err := old.Terminate(); err != nil {
			t.Fatal(err)
		}
		if code, err := old.Wait(15 * time.Second); code != 0 || err != nil {
			t.Fatalf("node ended with %d %v", code, err)
		}
	}
	r.nodes[i] = hubtest.StartNode(t, program, "REDIS_URL="+r.redis.URL, "KEYS="+keys, "DRAIN=0s")
}

// loginAll logs in over every combination of two nodes, and leaves one scanned ticket pending.
func (r *rotation) loginAll(t *testing.T, ctx context.Context, stage string) {
	t.Helper()
	n := len(r.nodes)
	hubtest.Parallel(t, n*n*n, 4, func(i int) error {
		return login(ctx, "rotation", r.nodes[i%n].URL, r.nodes[i/n%n].URL, r.nodes[i/n/n].URL)
	})
	for _, node := range r.nodes {
		ticket := hubtest.MustCreateTicket(t, ctx, node.URL)
		mustCall(t, ctx, r.phone, node.URL, ticket.ID, "scan")
		r.pending = append(r.pending, ticket)
	}
	if t.Failed() {
		t.Fatalf("stage: %s", stage)
	}
}

// confirmPending confirms the tickets of earlier stages, each on another node than its socket. It
// returns the kids of the tokens. Every node's keys must verify them.
func (r *rotation) confirmPending(t *testing.T, ctx context.Context) (used []string) {
	t.Helper()
	n := len(r.nodes)
	for i, ticket := range r.pending {
		p := &waiter{Ticket: ticket}
		if err := p.attach(ctx, r.nodes[i%n].URL, "scanned"); err != nil {
			t.Fatalf("ticket %d: %v", i, err)
		}
		mustCall(t, ctx, r.phone, r.nodes[(i+1)%n].URL, ticket.ID, "confirm")
		v := mustNext(t, ctx, p, "confirmed")
		for j, node := range r.nodes {
			_, kid, err := verifyToken(ctx, node.URL, v.Token)
			if err != nil {
				t.Errorf("ticket %d with node %d's keys: %v", i, j, err)
			}
			used = append(used, kid)
			if again, err := p.Poll(ctx, node.URL, 0, 0); err != nil || again.Token != v.Token {
				t.Errorf("ticket %d on node %d: %+v %v", i, j, again, err)
			}
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	r.pending = nil
	slices.Sort(used)
	return slices.Compact(used)
}

func TestKeys_Rotation(t *testing.T) {
	t.Parallel()
	const old, young = hubtest.Key, hubtest.OtherKey
	ctx := hubtest.Context(t, 60*time.Second)
	r := &rotation{redis: hubtest.StartRedis(t), nodes: make([]*hubtest.Node, 2), phone: hubtest.NewPhone("rotation")}
	for i := range r.nodes {
		r.restart(t, i, old)
	}
	r.loginAll(t, ctx, "before")
	oldKid := publishedKIDs(t, ctx, r.nodes[0].URL)
	for _, keys := range []string{old + "," + young, young + "," + old} {
		for i := range r.nodes {
			r.restart(t, i, keys)
			r.loginAll(t, ctx, fmt.Sprintf("node %d has %s", i, keys))
		}
	}
	both := publishedKIDs(t, ctx, r.nodes[0].URL)
	if len(oldKid) != 1 || len(both) != 2 || both[1] != oldKid[0] {
		t.Fatalf("published: %v, then %v", oldKid, both)
	}
	// The tickets of every stage are signed with the key that they began with.
	used := r.confirmPending(t, ctx)
	if want := slices.Sorted(slices.Values(both)); !slices.Equal(used, want) {
		t.Errorf("signed with %v, published %v", used, want)
	}
	// From here on all nodes have the new key first. Only then is the old key removed.
	for i := range r.nodes {
		r.loginAll(t, ctx, "new first everywhere")
		r.restart(t, i, young)
	}
	r.loginAll(t, ctx, "after")
	if used := r.confirmPending(t, ctx); !slices.Equal(used, both[:1]) {
		t.Errorf("signed with %v, the new key is %v", used, both[:1])
	}
	if last := publishedKIDs(t, ctx, r.nodes[0].URL); !slices.Equal(last, both[:1]) {
		t.Errorf("published at the end: %v", last)
	}
}

// TestKeys_RS256: nodes that start at once on an empty Redis use one RSA key, also after
// they have all restarted and with a file of keys; every node gives the same token.
func TestKeys_RS256(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clients, keyFile := filepath.Join(dir, "clients.yaml"), filepath.Join(dir, "rsa.pem")
	replaceFile(t, clients, "clients: [{id: demo, token_alg: RS256}]")
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, keyFile, string(encodePEM(t, own)))
	ctx, redis := hubtest.Context(t, 60*time.Second), hubtest.StartRedis(t)
	var kids []string
	for i, settings := range [][]string{nil, nil, {"RSA_KEY_FILE=" + keyFile}} {
		settings = append(settings, "REDIS_URL="+redis.URL, "CLIENTS="+clients, "DRAIN=0s")
		nodes := make([]*hubtest.Node, 2)
		hubtest.Parallel(t, 2, 2, func(i int) error {
			nodes[i] = hubtest.StartNode(t, program, settings...)
			return nil
		})
		r := &rotation{redis: redis, nodes: nodes, phone: hubtest.NewPhone(fmt.Sprint("rs256-", i))}
		r.loginAll(t, ctx, "RS256")
		kids = append(kids, r.confirmPending(t, ctx)...)
		for _, n := range nodes {
			if err := n.Terminate(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(kids) != 3 || kids[0] != kids[1] || kids[2] == kids[0] {
		t.Errorf("signed with %v", kids)
	}
}

// encodePEM returns a key as `openssl genrsa` prints it.
func encodePEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// revokeKey runs `loginhub keys revoke` and returns what it prints.
func revokeKey(ctx context.Context, n *hubtest.Node, kid string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "keys", "revoke", kid, "--admin", n.Admin).CombinedOutput()
	return string(out), err
}

// TestKeys_Revoke: a stolen key ends on all nodes, also on one that starts later. Its
// tickets end, so that their pages renew. Kill switches that it has sealed stay.
func TestKeys_Revoke(t *testing.T) {
	t.Parallel()
	ctx, redis := hubtest.Context(t, 60*time.Second), hubtest.StartRedis(t)
	settings := []string{"REDIS_URL=" + redis.URL, "KEYS=" + hubtest.Key + "," + hubtest.OtherKey, "DRAIN=0s"}
	s := &switches{t, ctx, []*hubtest.Node{startMetered(t, settings...), hubtest.StartNode(t, program, settings...)}}
	for _, on := range []string{"false", "true"} { // leaves a switch that the key has sealed
		if status := s.put(0, "default", `{"enabled":`+on+`}`); status != 204 {
			t.Fatalf("put: %d", status)
		}
	}
	kids := publishedKIDs(t, ctx, s.nodes[0].URL)
	waiting := &waiter{Ticket: hubtest.MustCreateTicket(t, ctx, s.nodes[1].URL)}
	if err := waiting.attach(ctx, s.nodes[1].URL, "pending"); err != nil {
		t.Fatal(err)
	}
	if out, err := revokeKey(ctx, s.nodes[0], "unknown"); err == nil || !strings.Contains(out, "404") {
		t.Errorf("an unknown key: %s %v", out, err)
	}
	if out, err := revokeKey(ctx, s.nodes[0], kids[0]); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	// At once on this node, and soon on the other.
	if got := publishedKIDs(t, ctx, s.nodes[0].URL); !slices.Equal(got, kids[1:]) {
		t.Errorf("published %v", got)
	}
	hubtest.Eventually(t, 10*time.Second, "the other node drops the key", func() bool {
		return slices.Equal(publishedKIDs(t, ctx, s.nodes[1].URL), kids[1:])
	})
	if err := waiting.waitDecision(ctx, s.nodes[1].URL, "expired", ""); err != nil {
		t.Errorf("the page that waits with the key: %v", err)
	}
	for _, n := range s.nodes {
		a, err := waiting.Poll(ctx, n.URL, 0, 0)
		if err == nil {
			t.Errorf("the ticket under the key is %+v", a)
		}
	}
	if out, err := revokeKey(ctx, s.nodes[0], kids[1]); err == nil || !strings.Contains(out, "last usable key") {
		t.Errorf("the last key: %s %v", out, err)
	}
	s.nodes = append(s.nodes, hubtest.StartNode(t, program, settings...))
	if err := s.nodes[0].Terminate(); err != nil {
		t.Fatal(err)
	}
	s.nodes[0] = startMetered(t, settings...)
	for i, n := range s.nodes {
		if got := publishedKIDs(t, ctx, n.URL); !slices.Equal(got, kids[1:]) {
			t.Errorf("node %d publishes %v", i, got)
		}
		if err := login(ctx, "revoked", n.URL, s.nodes[0].URL, s.nodes[1].URL); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
	if log := s.nodes[1].Stop(t); strings.Contains(log, `"event":"key_revoked"`) {
		t.Errorf("an audit line of another node's revocation:\n%s", log)
	}
}
