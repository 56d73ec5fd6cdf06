package hubtest

import (
	"bufio"
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/keys"
	"loginhub/hub/ticket"
)

// NewKeyring returns the keyring of master keys, separated by commas, and these keys.
func NewKeyring(t testing.TB, text string) (*ticket.Keyring, []keys.MasterKey) {
	t.Helper()
	masters, err := keys.ParseMasterKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	var all []ticket.Key
	for _, m := range masters {
		all = append(all, ticket.Key{ID: m.ID(), Encrypt: m.Encrypt(), Seal: m.Seal(), Match: m.Match(), Code: m.Code(), Known: m.Known(), Request: m.Request(), Frame: m.Frame()})
	}
	ring, err := ticket.NewKeyring(all)
	if err != nil {
		t.Fatal(err)
	}
	return ring, masters
}

// HubConfig returns a node's configuration, which a test may change before NewHub.
func HubConfig(store interface {
	hub.Store
	hub.Mailbox
}, ring *ticket.Keyring, signer hub.Signer) hub.Config {
	return hub.Config{Store: store, Mailbox: store, Reloadable: hub.Reloadable{Keys: ring, Signer: signer}, Issuer: "https://login.example.com",
		TicketTTL: 2 * time.Minute, ConfirmTTL: time.Minute, ResultTTL: time.Minute, TokenTTL: 5 * time.Minute, MaxWaiters: 10000}
}

// NewHub starts a node, which stops at the end of the test.
func NewHub(t testing.TB, c hub.Config) *hub.Hub {
	h := hub.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	var life sync.WaitGroup
	life.Go(func() { h.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		life.Wait()
	})
	return h
}

// DirectTransport passes a WebSocket's handshake to a handler, without a network. The
// connection is a pipe, so that it works with testing/synctest.
type DirectTransport struct {
	Ctx    context.Context // ends the connections
	Go     func(func())    // runs the handler
	Handle func(http.ResponseWriter, *http.Request) error
}

// RoundTrip implements http.RoundTripper.
func (d DirectTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	here, there := net.Pipe()
	context.AfterFunc(d.Ctx, func() { here.Close() })
	stop := context.AfterFunc(r.Context(), func() { here.Close() })
	d.Go(func() {
		if err := d.Handle(&directResponse{header: http.Header{}, conn: there}, r); err != nil {
			there.Close() // refused, without an answer
		}
	})
	in := bufio.NewReader(here)
	resp, err := http.ReadResponse(in, r)
	if !stop() || err != nil {
		here.Close()
		return nil, cmp.Or(r.Context().Err(), err)
	}
	resp.Body = directBody{in, here}
	return resp, nil
}

// directBody is the connection after the answer.
type directBody struct {
	in *bufio.Reader
	net.Conn
}

// Read implements net.Conn.
func (b directBody) Read(p []byte) (int, error) { return b.in.Read(p) }

// directResponse is the http.ResponseWriter of a handshake. It only passes on the connection.
type directResponse struct {
	http.ResponseWriter
	header http.Header
	conn   net.Conn
}

// Header implements http.ResponseWriter.
func (a *directResponse) Header() http.Header { return a.header }

// Hijack implements http.Hijacker.
func (a *directResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.conn, bufio.NewReadWriter(bufio.NewReader(a.conn), bufio.NewWriter(a.conn)), nil
}
