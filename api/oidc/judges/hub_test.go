package judges

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	masterkeys "loginhub/hub/keys"
)

var program string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // all at once: they mostly wait for the rotation of keys
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built, remove, err := hubtest.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = built
	code := m.Run()
	remove()
	os.Exit(code)
}

// Hub is two nodes behind a load balancer that sends each request to the next node.
type Hub struct {
	Issuer  string
	nodes   []*hubtest.Node
	clients string // path of the clients file
	keys    string // path of the keys file
}

// secret is the secret of every confidential client.
const secret = "a-client-secret-of-32-characters"

// startHub starts two nodes with that clients file. {secret} in it is the path of a file
// that contains secret.
func startHub(t *testing.T, clients string) *Hub {
	t.Helper()
	h := &Hub{}
	var next atomic.Int64
	var targets []*url.URL
	balancer := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(targets[next.Add(1)%int64(len(targets))])
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	h.Issuer = "http://" + balancer.Listener.Addr().String()
	clients = strings.ReplaceAll(clients, "{secret}", hubtest.WriteFile(t, "secret", secret))
	h.clients = hubtest.WriteFile(t, "clients.yaml", clients)
	h.keys = hubtest.WriteFile(t, "keys", hubtest.Key)
	_, h.nodes = hubtest.StartNodes(t, program, 2, "PUBLIC_URL="+h.Issuer, "CLIENTS="+h.clients, "KEYS=", "KEYS_FILE="+h.keys,
		"ADMIN_LISTEN=127.0.0.1:0", "TRUSTED_PROXIES=127.0.0.0/8", "SANDBOX=true")
	for _, n := range h.nodes {
		target, err := url.Parse(n.URL)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	balancer.Start()
	t.Cleanup(balancer.Close)
	return h
}

// rotate puts another key first on both nodes and waits until they publish the RSA keys of
// all keys, and sign with the first.
func (h *Hub) rotate(t *testing.T, keys ...string) {
	t.Helper()
	if err := os.WriteFile(h.keys, []byte(strings.Join(keys, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	first := keyID(t, keys[0])
	for _, n := range h.nodes {
		hubtest.Eventually(t, 30*time.Second, "the node uses the new keys", func() bool {
			a, err := hubtest.Request(t.Context(), http.MethodGet, n.URL+"/.well-known/jwks.json", nil)
			return err == nil && strings.Count(string(a.Body), `"RSA"`) == len(keys) && strings.Index(string(a.Body), `"kid":"`)+len(`"kid":"`) == strings.Index(string(a.Body), first) &&
				n.Get("/readyz") == http.StatusOK
		})
	}
}

// keyID returns the kid of a master key.
func keyID(t *testing.T, text string) string {
	t.Helper()
	all, err := masterkeys.ParseMasterKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return all[0].ID()
}
