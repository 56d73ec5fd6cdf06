package wechat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

// A code with the same traps as the secret.
const (
	codeCore = "c0deCore0123456789"
	oddCode  = codeCore + "&x=\"y\"+%41/é"
)

// noTrace fails if err, any link of its chain or a log of it shows the secret,
// the code or a session_key.
func noTrace(t *testing.T, err error) {
	t.Helper()
	var shown bytes.Buffer
	show := func(link error) {
		fmt.Fprintf(&shown, "%v\n%+v\n%#v\n%s\n%q\n%d\n", link, link, link, link, link, link)
	}
	var walk func(error)
	walk = func(link error) {
		if link == nil {
			return
		}
		show(link)
		walk(errors.Unwrap(link))
		if many, ok := link.(interface{ Unwrap() []error }); ok {
			for _, each := range many.Unwrap() {
				walk(each)
			}
		}
	}
	walk(err)
	everything := &slog.HandlerOptions{Level: slog.LevelDebug}
	slog.New(slog.NewTextHandler(&shown, everything)).Error("login", "err", err)
	slog.New(slog.NewJSONHandler(&shown, everything)).Error("login", "err", err)
	for _, word := range []string{secretCore, codeCore, wechattest.SessionKeyPrefix} {
		if strings.Contains(shown.String(), word) {
			t.Errorf("%q shows in\n%s", word, shown.String())
		}
	}
}

func TestSecrecy_Errors(t *testing.T) {
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	t.Cleanup(tlsServer.Close)
	plain := newWeChat(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()

	urls := map[string]string{
		"connection refused":      "http://" + gone.Addr().String(),
		"certificate not trusted": tlsServer.URL,
		"HTTP where TLS belongs":  "https" + strings.TrimPrefix(plain.URL, "http"),
	}
	// Servers that echo the request target, {}.
	for name, answer := range map[string]string{
		"redirect":                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1{}\r\nContent-Length: 0\r\n\r\n",
		"redirect to nowhere":     "HTTP/1.1 302 Found\r\nLocation: ::%zz{}\r\nContent-Length: 0\r\n\r\n",
		"odd status, decoded":     "HTTP/1.1 x" + oddCode + "\r\n\r\n",
		"no HTTP":                 "what is {}\r\n\r\n",
		"odd status":              "HTTP/1.1 {} {}\r\n\r\n",
		"odd header":              "HTTP/1.1 200 OK\r\n{}\r\n\r\n",
		"odd length":              "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
		"odd transfer encoding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n",
		"odd chunk":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
		"status with reason":      "HTTP/1.1 500 {}\r\nContent-Length: 0\r\n\r\n",
		"page":                    "HTTP/1.1 200 OK\r\n\r\n<html>{}</html>",
		"JSON string":             "HTTP/1.1 200 OK\r\n\r\n\"{}\"",
		"broken JSON":             "HTTP/1.1 200 OK\r\n\r\n{\"errmsg\":\"{}",
		"errmsg":                  "HTTP/1.1 200 OK\r\n\r\n{\"errcode\":40029,\"errmsg\":\"invalid {}\"}",
		"errmsg with zero bytes":  "HTTP/1.1 200 OK\r\n\r\n{\"errcode\":40029,\"errmsg\":\"c0deCor\\u0000e0123456789&x=\\\"y\\\"+%41/é\"}",
		"errmsg cut in the value": "HTTP/1.1 200 OK\r\n\r\n{\"errcode\":-1,\"errmsg\":\"" + strings.Repeat("x", 200) + "{}\"}",
		"openid":                  "HTTP/1.1 200 OK\r\n\r\n{\"openid\":[\"{}\"]}",
	} {
		urls["echo: "+name] = rawServer(t, func(request string) string {
			target := strings.Split(request, " ")[1]
			return strings.ReplaceAll(answer, "{}", target)
		})
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			e := refusal(t.Context(), t, newClient(t, url), oddCode)
			noTrace(t, e)
		})
	}
}

func TestSecrecy_ControlCharacters(t *testing.T) {
	echo := answering(200, `{"errcode":40029,"errmsg":"invalid `+codeCore+`\u0001tail"}`)
	noTrace(t, refusal(t.Context(), t, newClientVia(t, "", echo), codeCore+"\x01tail"))
}

func TestSecrecy_RoundTripperQuotesURL(t *testing.T) {
	cause := errors.New("the cause")
	wrapping := roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("traced: %w", &url.Error{Op: "Get", URL: r.URL.String(), Err: cause})
	})
	e := refusal(t.Context(), t, newClientVia(t, "", wrapping), oddCode)
	noTrace(t, e)
	if !errors.Is(e, cause) {
		t.Errorf("the cause is lost: %v", e)
	}
}

func TestSecrecy_Printing(t *testing.T) {
	config := wechat.Config{AppID: appID, Secret: secret}
	m, err := wechat.NewMiniProgram(config)
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	for _, v := range []any{config, &config, m, *m, []any{config, m}, struct{ C wechat.Config }{config}} {
		fmt.Fprintf(&shown, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("config", "c", v)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("config", "c", v)
	}
	asJSON, _ := json.Marshal(config)
	shown.Write(asJSON)
	hex := fmt.Sprintf("%x", secretCore)
	for _, word := range []string{secretCore, hex} {
		if strings.Contains(shown.String(), word) {
			t.Errorf("%s shows in\n%s", word, shown.String())
		}
	}
	if !strings.Contains(shown.String(), appID) {
		t.Error("not even the appid is shown")
	}
}

func TestSecrecy_SessionKey(t *testing.T) {
	w := newWeChat(t)
	id, err := newClient(t, w.URL).Session(t.Context(), w.Code(appID, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%#v", id); len(w.SessionKeys()) != 1 || strings.Contains(shown, w.SessionKeys()[0]) {
		t.Errorf("session keys %q, identity %s", w.SessionKeys(), shown)
	}
}

func TestConfig_Incomplete(t *testing.T) {
	good := wechat.Config{AppID: appID, Secret: secret}
	bad := map[string]func(*wechat.Config){
		"no appid":                func(c *wechat.Config) { c.AppID = "" },
		"no secret":               func(c *wechat.Config) { c.Secret = "" },
		"no URL, with a password": func(c *wechat.Config) { c.BaseURL = "https://me:" + secretCore + "/@api.weixin.qq.com" },
		"no host":                 func(c *wechat.Config) { c.BaseURL = "https://" },
		"no scheme":               func(c *wechat.Config) { c.BaseURL = "api.weixin.qq.com" },
		"another scheme":          func(c *wechat.Config) { c.BaseURL = "httpx://api.weixin.qq.com" },
		"with a query":            func(c *wechat.Config) { c.BaseURL = "https://api.weixin.qq.com?appid=1" },
		"with a password":         func(c *wechat.Config) { c.BaseURL = "https://me:" + secretCore + "@api.weixin.qq.com" },
	}
	if _, err := wechat.NewMiniProgram(good); err != nil {
		t.Error(err)
	}
	for name, spoil := range bad {
		config := good
		spoil(&config)
		if _, err := wechat.NewMiniProgram(config); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), secretCore) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
