package hubtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// View is the view that the wire contract gives the browser.
type View struct {
	Ticket         string `json:"ticket"`
	State          string `json:"state"`
	Seq            int64  `json:"seq"`
	ExpiresIn      int64  `json:"expires_in"`
	User           *User  `json:"user"`
	Token          string `json:"token"`
	TokenType      string `json:"token_type"`
	TokenExpiresIn int64  `json:"token_expires_in"`
}

// User is the displayed user.
type User struct {
	Nickname  string `json:"nickname,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
	Verified  bool   `json:"verified,omitempty"`
}

// Ticket is the browser's ticket, with its secret.
type Ticket struct {
	ID        string `json:"ticket"`
	Secret    string `json:"secret"`
	State     string `json:"state"`
	Seq       int64  `json:"seq"`
	ExpiresIn int64  `json:"expires_in"`
	QRURL     string `json:"qr_url"`
	QRImage   string `json:"qr_image"`
	MatchCode string `json:"match_code"`
}

// Response is an HTTP response. Code and Detail are set if it is a problem (RFC 9457).
type Response struct {
	Status int
	Header http.Header
	Close  bool // the node asks the client to close the connection
	Body   []byte
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// client keeps enough connections for fifty concurrent phones. It trusts any certificate:
// a balancer has one of the test.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// checkView is set by Intercept.
var checkView = func([]byte) error { return nil }

// Intercept wraps the HTTP transport of this package with around, and passes every view
// of a socket to view. An error of view is returned to the reader of the socket. Call it
// in TestMain.
func Intercept(around func(http.RoundTripper) http.RoundTripper, view func(text []byte) error) {
	client.Transport, checkView = around(client.Transport), view
}

// Request makes one HTTP request. A nil body sends none; headers are pairs.
func Request(ctx context.Context, method, url string, body any, headers ...string) (*Response, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case []byte:
		in = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	return readResponse(resp)
}

func readResponse(resp *http.Response) (a *Response, err error) {
	defer resp.Body.Close()
	a = &Response{Status: resp.StatusCode, Header: resp.Header, Close: resp.Close}
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(a.Body, a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Decode parses a JSON response into v. It returns an error if the status differs.
func (a *Response) Decode(status int, v any) error {
	if a.Status != status {
		return fmt.Errorf("status %d (%s), wanted %d: %s", a.Status, a.Code, status, a.Body)
	}
	return json.Unmarshal(a.Body, v)
}

// CreateTicket creates a ticket on the node at url; request may be nil.
func CreateTicket(ctx context.Context, url string, request any, headers ...string) (*Ticket, error) {
	a, err := Request(ctx, "POST", url+"/api/login/tickets", request, headers...)
	if err != nil {
		return nil, err
	}
	t := &Ticket{}
	return t, a.Decode(http.StatusCreated, t)
}

// URL returns the URL of an endpoint of the ticket on the node at url.
func (t *Ticket) URL(url, endpoint string) string {
	return url + "/api/login/tickets/" + t.ID + "/" + endpoint
}

// Poll makes one long poll. A nil view means 204.
func (t *Ticket) Poll(ctx context.Context, url string, after int64, wait int) (*View, error) {
	a, err := t.PollResponse(ctx, url, after, wait)
	if err != nil || a.Status == http.StatusNoContent {
		return nil, err
	}
	v := &View{}
	return v, a.Decode(http.StatusOK, v)
}

// PollResponse makes one long poll and returns the raw response.
func (t *Ticket) PollResponse(ctx context.Context, url string, after int64, wait int) (*Response, error) {
	return Request(ctx, "GET", fmt.Sprintf("%s?after=%d&wait=%d", t.URL(url, "poll"), after, wait), nil,
		"Authorization", "Bearer "+t.Secret)
}

// Ack acknowledges the token over HTTP.
func (t *Ticket) Ack(ctx context.Context, url string, seq int64) (*Response, error) {
	return Request(ctx, "POST", t.URL(url, "ack"), map[string]int64{"seq": seq}, "Authorization", "Bearer "+t.Secret)
}

// Socket is an open WebSocket of a page.
type Socket struct {
	Conn *websocket.Conn
	HTTP *http.Response // of the handshake
}

// Dial opens the ticket's WebSocket on the node at url. If the node refuses it, the
// error is not nil and the socket's HTTP may hold the response.
func (t *Ticket) Dial(ctx context.Context, url string, headers ...string) (*Socket, error) {
	return DialSocket(ctx, client, t.URL(url, "ws"), []string{"loginhub.v1", "loginhub.secret." + t.Secret}, headers...)
}

// DialSocket opens a WebSocket with these subprotocols; headers are pairs.
func DialSocket(ctx context.Context, client *http.Client, url string, protocols []string, headers ...string) (*Socket, error) {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client, Subprotocols: protocols, HTTPHeader: h})
	return &Socket{Conn: conn, HTTP: resp}, err
}

// Rejection returns the response that refused the handshake, or nil if there was none.
func (s *Socket) Rejection() (*Response, error) {
	if s.HTTP == nil {
		return nil, nil
	}
	return readResponse(s.HTTP)
}

// Next returns the next view.
func (s *Socket) Next(ctx context.Context) (*View, error) {
	_, text, err := s.Conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkView(text); err != nil {
		return nil, fmt.Errorf("view %s: %w", text, err)
	}
	v := &View{}
	return v, json.Unmarshal(text, v)
}

// Until reads views until one has the given state.
func (s *Socket) Until(ctx context.Context, state string) (*View, error) {
	for {
		v, err := s.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for %s: %w", state, err)
		}
		if v.State == state {
			return v, nil
		}
	}
}

// Ack acknowledges the token over the socket.
func (s *Socket) Ack(ctx context.Context, seq int64) error {
	return s.Conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"ack":%d}`, seq))
}

// Closed reads until the socket is closed and returns the close code, or -1 if there was
// none.
func (s *Socket) Closed(ctx context.Context) int {
	for {
		if _, _, err := s.Conn.Read(ctx); err != nil {
			return int(websocket.CloseStatus(err))
		}
	}
}

// WithTimeout returns a context for one step of a test.
func WithTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
