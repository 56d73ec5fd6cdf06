package wechat_test

import (
	"context"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

const (
	appID = "wx0123456789abcdef"
	// Characters with a meaning in a URL, around a core that must not appear in
	// any form.
	secretCore = "s3cr3tCore0123456789"
	secret     = secretCore + "&a=b+c%41/é"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newWeChat returns an imitation of WeChat with the test mini-program.
func newWeChat(t *testing.T) *wechattest.Server {
	t.Helper()
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: appID, Secret: secret, OpenPlatform: "acme"})
	return w
}

// newClient returns the mini-program's client for a WeChat at url.
func newClient(t testing.TB, url string) *wechat.MiniProgram {
	t.Helper()
	return newClientVia(t, url, nil)
}

func newClientVia(t testing.TB, url string, transport http.RoundTripper) *wechat.MiniProgram {
	t.Helper()
	m, err := wechat.NewMiniProgram(wechat.Config{
		AppID: appID, Secret: secret, BaseURL: url, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// roundTrip is a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refusal makes a call that must fail and returns its error.
func refusal(ctx context.Context, t *testing.T, m *wechat.MiniProgram, code string) *wechat.Error {
	t.Helper()
	id, err := m.Session(ctx, code)
	if err == nil {
		t.Fatalf("got %+v, want an error", id)
	}
	if id != (wechat.Identity{}) {
		t.Errorf("identity %+v beside the error %v", id, err)
	}
	return asError(t, err)
}
