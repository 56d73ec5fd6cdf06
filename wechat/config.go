package wechat

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// DefaultBaseURL is WeChat's API host.
const DefaultBaseURL = "https://api.weixin.qq.com"

// Config says as which application to speak to WeChat, and where.
//
// However it is printed or logged, its secret is not shown.
type Config struct {
	// AppID and Secret are what WeChat's console shows; both are required.
	// They are sent as they stand: a stray space is WeChat's errcode 40013 or
	// 40125.
	AppID  string
	Secret string `json:"-"`

	// BaseURL is where WeChat's API is; empty means DefaultBaseURL. With a
	// plain http URL the secret crosses the network in clear: for tests only.
	BaseURL string

	// Transport carries the requests; nil means the package's own, made for
	// this application: HTTP/1.1, a pool for bursts, proxy from the
	// environment. Every request is made so that net/http's Transport will not
	// send it twice; another RoundTripper must neither repeat one nor log its
	// URL.
	Transport http.RoundTripper

	// Observe hears of every call that was made: WeChat's own name of it, how
	// long it took, and its *Error or nil. It must not block; may be nil.
	Observe func(op string, took time.Duration, err error) `json:"-"`
}

// What Observe is told of: the calls of a mini-program (OpSession), of its codes
// (OpToken, OpCode) and of a website application (OpGrant, OpProfile).
const (
	OpSession = "jscode2session"
	OpToken   = "stable_token"
	OpCode    = "getwxacodeunlimit"
	OpGrant   = "oauth2/access_token"
	OpProfile = "userinfo"
)

// String names the application without its secret.
func (c Config) String() string { return "wechat.Config{AppID: " + c.AppID + "}" }

// Format prints what String does, whatever the verb: %+v, %#v and %d would
// otherwise walk over the fields.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is what a log may hold of c.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("app_id", c.AppID))
}

// apiClient checks c and gives the host that its calls go to.
func (c Config) apiClient() (*host, error) {
	if c.AppID == "" {
		return nil, errors.New("wechat config: no AppID")
	}
	if c.Secret == "" {
		return nil, errors.New("wechat config: no Secret")
	}
	raw := c.BaseURL
	if raw == "" {
		raw = DefaultBaseURL
	}
	base, err := baseURL(raw)
	if err != nil {
		// Without the cause: it quotes the URL, and in one that does not parse
		// there may be a password.
		return nil, errors.New("wechat config: BaseURL must be http(s)://HOST[/PATH] and nothing more")
	}
	h := &host{base: base, transport: c.Transport, observe: c.Observe}
	if h.transport == nil {
		h.transport = newTransport()
	}
	return h, nil
}

var errBase = errors.New("no http(s)://HOST[/PATH]")

// baseURL reads the URL of a host.
func baseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errBase
	}
	return u, nil
}

// close lets go of idle connections of the package's own transport.
func (h *host) close() {
	if t, ok := h.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}
