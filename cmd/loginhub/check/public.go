package check

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

const (
	fetchTimeout     = 10 * time.Second
	firstViewTimeout = 2500 * time.Millisecond // then a page tries the long poll
	renewalWarning   = 21 * 24 * time.Hour     // renewals run a month ahead
)

// proxyHint names an example of a complete proxy configuration.
const proxyHint = "deploy/nginx/loginhub.conf shows what a proxy has to pass on"

// checkPublic checks the public URL as browsers and phones use it, with all proxies
// in front of the nodes.
func (e *checker) checkPublic(ctx context.Context, store *redisstore.Store) {
	if e.set.PublicURL == "" {
		e.add(provider.Warn, "public url", "LOGINHUB_PUBLIC_URL is not set, which is only for trying out; set it for production")
		return
	}
	if !e.checkReachable(ctx) {
		return
	}
	e.checkKeys(ctx)
	e.checkVerifyFile(ctx)
	created, err := e.createTicket(ctx)
	if !e.addResult("tickets", err, "a ticket was created", "the node's log says why") {
		return
	}
	e.checkPoll(ctx, created)
	e.checkSocket(ctx, created)
	e.checkAddresses(ctx, store, created.Ticket)
}

// checkReachable checks that a ready hub answers at the public URL, and how long its
// certificate is valid.
func (e *checker) checkReachable(ctx context.Context) bool {
	var secure *tls.ConnectionState
	err := e.get(ctx, "/readyz", func(r *http.Response) error {
		secure = r.TLS
		text, err := io.ReadAll(io.LimitReader(r.Body, 4<<10))
		switch {
		case err != nil:
			return err
		case r.StatusCode/100 == 3:
			return fmt.Errorf("it redirects to %s", r.Header.Get("Location"))
		case r.StatusCode != http.StatusOK:
			return fmt.Errorf("/readyz answers %s: %.200q", r.Status, text)
		case !strings.Contains(string(text), `"ready"`):
			return errors.New("the server that answers /readyz is not a hub")
		}
		return nil
	})
	if !e.addResult("public url", err, e.set.PublicURL+" answers and is ready", "the name must resolve to the proxy, its certificate must be valid, and the proxy must pass all requests on to the nodes; "+proxyHint) {
		return false
	}
	if secure == nil {
		e.add(ifElse(e.set.Local, provider.OK, provider.Fail), "tls", "no TLS: anyone on the network path can read tokens; use https except for local addresses")
		return true
	}
	ends := secure.PeerCertificates[0].NotAfter
	left := time.Until(ends)
	e.add(ifElse(left < renewalWarning, provider.Warn, provider.OK), "tls", "%s, certificate valid until %s%s", tls.VersionName(secure.Version), ends.Format(time.DateOnly),
		ifElse(left < renewalWarning, fmt.Sprintf(": %d days; check its automatic renewal", int(left.Hours()/24)), ""))
	return true
}

// keyRequests is the number of requests for the published keys. It is higher than the
// usual number of nodes behind the proxy, so that each node answers one.
const keyRequests = 8

// publishedKeys returns the ids of the keys that a node publishes. It returns an
// error if a key of LOGINHUB_KEYS is missing.
func (e *checker) publishedKeys(ctx context.Context) ([]string, error) {
	var set struct {
		Keys []struct{ Kid string }
	}
	err := e.get(ctx, "/.well-known/jwks.json", func(r *http.Response) error {
		return json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&set)
	})
	if err != nil {
		return nil, err
	}
	var published []string
	for _, k := range set.Keys {
		published = append(published, k.Kid)
	}
	if e.set.Embedded {
		return published, nil // this process has its own random keys
	}
	for _, m := range e.set.Keys {
		if !slices.Contains(published, m) {
			return published, fmt.Errorf("a node does not publish a key of LOGINHUB_KEYS (%s)", m)
		}
	}
	return published, nil
}

// checkKeys compares the keys that the running nodes publish with LOGINHUB_KEYS.
func (e *checker) checkKeys(ctx context.Context) {
	var published []string
	var err error
	for range keyRequests { // the proxy selects one node after the other
		if published, err = e.publishedKeys(ctx); err != nil {
			break
		}
	}
	e.addResult("keys", err, fmt.Sprintf("%d published", len(published)), "every node must have the same LOGINHUB_KEYS, and the path /.well-known/ be passed on to them")
}

// checkVerifyFile fetches WeChat's verification file, as WeChat does.
func (e *checker) checkVerifyFile(ctx context.Context) {
	name, text := e.set.VerifyFile[0], e.set.VerifyFile[1]
	if name == "" {
		if e.set.NeedVerifyFile {
			e.add(provider.Warn, "wechat file", "LOGINHUB_WECHAT_VERIFY_FILE is not set; WeChat asks for it when the rule for %s/s/ is added", e.set.PublicURL)
		}
		return
	}
	err := e.get(ctx, "/s/"+name, func(r *http.Response) error {
		got, err := io.ReadAll(io.LimitReader(r.Body, 4<<10))
		if err == nil && (r.StatusCode != http.StatusOK || string(got) != text) {
			err = fmt.Errorf("%s/s/%s: answers %s with another text", e.set.PublicURL, name, r.Status)
		}
		return err
	})
	e.addResult("wechat file", err, e.set.PublicURL+"/s/"+name+" is served", "every node needs LOGINHUB_WECHAT_VERIFY_FILE, and the proxy must pass /s/ on")
}

// testTicket is a ticket that the check has created.
type testTicket struct {
	Ticket ticket.ID `json:"ticket"`
	Secret string    `json:"secret"`
}

// createTicket creates a ticket as a page does. headers are pairs of name and value.
func (e *checker) createTicket(ctx context.Context, headers ...string) (created testTicket, err error) {
	key, err := pageKey()
	if err != nil {
		return created, err
	}
	body, err := json.Marshal(struct {
		ClientID string            `json:"client_id,omitempty"`
		JWK      map[string]string `json:"jwk"`
	}{e.set.ClientID, key})
	if err != nil {
		return created, err
	}
	err = e.request(ctx, http.MethodPost, "/api/login/tickets", body, func(r *http.Response) error {
		text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		if err != nil {
			return err
		}
		if r.StatusCode != http.StatusCreated {
			return fmt.Errorf("create a ticket: %s: %.300q", r.Status, text)
		}
		return json.Unmarshal(text, &created)
	}, append(headers, "Content-Type", "application/json")...)
	return created, err
}

// pageKey returns the public key of a page, which a client may demand (token_encryption).
func pageKey() (map[string]string, error) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create a ticket: make a key: %w", err)
	}
	point := key.PublicKey().Bytes() // 4, x and y (SEC 1, section 2.3.3)
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]string{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}, nil
}

func (e *checker) ticketPath(created testTicket, endpoint string) string {
	return "/api/login/tickets/" + string(created.Ticket) + "/" + endpoint
}

// checkPoll runs a long poll of one second, which ends without a change.
func (e *checker) checkPoll(ctx context.Context, created testTicket) {
	err := e.get(ctx, e.ticketPath(created, "poll?after=1&wait=1"), func(r *http.Response) error {
		if r.StatusCode != http.StatusNoContent {
			return fmt.Errorf("a long poll: %s", r.Status)
		}
		return nil
	}, "Authorization", "Bearer "+created.Secret)
	e.addResult("long poll", err, "works", "the proxy must pass on the Authorization header and wait longer than 55 s; "+proxyHint)
}

// checkSocket opens the ticket's WebSocket as a page does, and keeps it open.
func (e *checker) checkSocket(ctx context.Context, created testTicket) {
	const hint = "the proxy must speak HTTP/1.1 to the nodes, pass on Upgrade, Connection and Sec-WebSocket-Protocol, and wait longer than the heartbeat of 20 s; " + proxyHint
	start := time.Now()
	err := func() error {
		dial, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		conn, answer, err := websocket.Dial(dial, "ws"+strings.TrimPrefix(e.set.PublicURL, "http")+e.ticketPath(created, "ws"),
			&websocket.DialOptions{Subprotocols: []string{"loginhub.v1", "loginhub.secret." + created.Secret}})
		if err != nil && answer != nil {
			return fmt.Errorf("the upgrade was answered with %s", answer.Status)
		}
		if err != nil {
			return timeoutError(err)
		}
		defer conn.CloseNow()
		first, cancel := context.WithTimeout(ctx, firstViewTimeout)
		defer cancel()
		if _, _, err := conn.Read(first); err != nil {
			return fmt.Errorf("no view within %v after the upgrade: %w", firstViewTimeout, timeoutError(err))
		}
		for {
			left := e.hold - time.Since(start)
			if left <= 0 {
				return conn.Close(websocket.StatusNormalClosure, "")
			}
			read, cancel := context.WithTimeout(ctx, min(left, 45*time.Second)) // 45 s is a page's limit
			_, _, err := conn.Read(read)
			cancel()
			switch {
			case websocket.CloseStatus(err) == websocket.StatusNormalClosure:
				return nil // the ticket has expired
			case err != nil && time.Since(start) < e.hold:
				return fmt.Errorf("closed after %v: %w", time.Since(start).Round(time.Second), timeoutError(err))
			case err != nil:
				return nil // the time is up
			}
		}
	}()
	stayedOpen := ""
	if e.hold > 0 {
		stayedOpen = fmt.Sprintf(", and stayed open for %v", time.Since(start).Round(time.Second))
	}
	e.addResult("websocket", err, "the upgrade works and the first view arrived"+stayedOpen, hint)
}

func (e *checker) get(ctx context.Context, path string, read func(*http.Response) error, headers ...string) error {
	return e.request(ctx, http.MethodGet, path, nil, read, headers...)
}

// request sends one request to the public URL. headers are pairs of name and value.
// It does not follow redirects, because phones send POST.
func (e *checker) request(ctx context.Context, method, path string, body []byte, read func(*http.Response) error, headers ...string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, e.set.PublicURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Close = true // a balancer of connections selects another node next time
	r.Header.Set("User-Agent", "loginhub check")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return send(r, read)
}

func send(r *http.Request, read func(*http.Response) error) error {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return timeoutError(err)
	}
	defer answer.Body.Close()
	return timeoutError(read(answer))
}
