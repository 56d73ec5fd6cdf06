package wechat

import (
	"context"
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

// Config names a WeChat application and the host of WeChat's API.
//
// Printing or logging a Config never shows its secret.
type Config struct {
	// AppID and Secret are what WeChat's console shows; both are required.
	// They are sent unchanged: a stray space causes WeChat's errcode 40013 or
	// 40125.
	AppID  string
	Secret string `json:"-"`

	// BaseURL is the base of WeChat's API; empty means DefaultBaseURL. A plain
	// http URL sends the secret in clear; it is for tests only.
	BaseURL string

	// Transport sends the requests. nil means the package's own: HTTP/1.1, a
	// pool for bursts, the proxy from the environment. net/http's Transport does
	// not send these requests twice. Another RoundTripper must neither repeat a
	// request nor log its URL.
	Transport http.RoundTripper

	// Observe is called after every call with the caller's context, WeChat's name of it,
	// its duration and its *Error or nil. It must not block; may be nil.
	Observe func(ctx context.Context, op string, took time.Duration, err error) `json:"-"`
}

// The operations that Observe reports: of a mini-program (OpSession, OpCode, OpPhone,
// OpMessage, OpTemplates), of an official account (OpScene, OpFollower), of the access token of both (OpToken), and of
// logins at WeChat's page (OpGrant, OpProfile).
const (
	OpSession   = "jscode2session"
	OpToken     = "stable_token"
	OpCode      = "getwxacodeunlimit"
	OpPhone     = "getuserphonenumber"
	OpMessage   = "message/subscribe/send"
	OpTemplates = "newtmpl/gettemplate"
	OpScene     = "qrcode/create"
	OpFollower  = "user/info"
	OpGrant     = "oauth2/access_token"
	OpProfile   = "userinfo"
)

// String returns the application's id without its secret.
func (c Config) String() string { return "wechat.Config{AppID: " + c.AppID + "}" }

// Format prints the result of String for every verb. Without it %+v, %#v and %d
// would print the fields.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue returns the part of c that may be logged.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("app_id", c.AppID))
}

// apiClient checks c and returns the client for its calls.
func (c Config) apiClient() (*apiClient, error) {
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
		// The cause is omitted: it quotes the URL, which may hold a password.
		return nil, errors.New("wechat config: BaseURL must be http(s)://HOST[/PATH] and nothing more")
	}
	h := &apiClient{base: base, transport: c.Transport, observe: c.Observe}
	if h.transport == nil {
		h.transport = newTransport()
	}
	return h, nil
}

var errBase = errors.New("no http(s)://HOST[/PATH]")

// baseURL parses an http or https URL without user, query and fragment.
func baseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errBase
	}
	return u, nil
}

// close closes the idle connections of the package's own transport.
func (h *apiClient) close() {
	if t, ok := h.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}
