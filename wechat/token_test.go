package wechat_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

// memTokenStore is the shared store, with a manual clock.
type memTokenStore struct {
	mu     sync.Mutex
	now    time.Time
	values map[string][]byte
	ends   map[string]time.Time
	broken error
}

func newShelf() *memTokenStore {
	return &memTokenStore{now: time.Now(), values: map[string][]byte{}, ends: map[string]time.Time{}}
}

func (s *memTokenStore) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *memTokenStore) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *memTokenStore) Load(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.now.Before(s.ends[name]) {
		return nil, s.broken
	}
	return s.values[name], s.broken
}

func (s *memTokenStore) Save(_ context.Context, name string, value []byte, life time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name], s.ends[name] = value, s.now.Add(life)
	return s.broken
}

func (s *memTokenStore) SetNX(_ context.Context, name string, life time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Before(s.ends[name]) {
		return false, s.broken
	}
	s.values[name], s.ends[name] = nil, s.now.Add(life)
	return true, s.broken
}

const (
	stablePath = "/cgi-bin/stable_token"
	codePath   = "/wxa/getwxacodeunlimit"
	scene      = "AAAAAAAAAAAAAAAAAAAAAA"
)

// newPlace returns a WeChat with the nodes' shared clock.
func newPlace(t *testing.T) (*wechattest.Server, *memTokenStore) {
	t.Helper()
	s := newShelf()
	w := wechattest.New(wechattest.Options{Now: s.Now})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: appID, Secret: secret, Pages: []string{"pages/confirm/confirm"}})
	return w, s
}

func newNode(t *testing.T, w *wechattest.Server, s wechat.TokenStore) *wechat.Tokens {
	t.Helper()
	n, err := wechat.NewTokens(wechat.Config{AppID: appID, Secret: secret, BaseURL: w.URL}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func draw(t *testing.T, n *wechat.Tokens) {
	t.Helper()
	picture, err := n.Code(t.Context(), scene, wechat.CodeOptions{Page: "pages/confirm/confirm"})
	if err != nil || !bytes.Equal(picture, wechattest.Picture()) {
		t.Fatalf("%d bytes, %v", len(picture), err)
	}
}

func TestTokens_ConcurrentNodes(t *testing.T) {
	w, s := newPlace(t)
	var all sync.WaitGroup
	for range 4 {
		n := newNode(t, w, s)
		for range 8 {
			all.Go(func() {
				if _, err := n.Code(t.Context(), scene, wechat.CodeOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if w.CallsTo(stablePath) != 1 || w.CallsTo(codePath) != 32 {
		t.Errorf("%d calls for the token, %d for codes", w.CallsTo(stablePath), w.CallsTo(codePath))
	}
}

func TestTokens_RenewedByOneNode(t *testing.T) {
	w, s := newPlace(t)
	a, b := newNode(t, w, s), newNode(t, w, s)
	draw(t, a)
	draw(t, b)
	s.advance(114 * time.Minute)
	draw(t, b)
	if w.CallsTo(stablePath) != 1 {
		t.Fatalf("%d calls before the hand-over", w.CallsTo(stablePath))
	}
	s.advance(2 * time.Minute) // four minutes before the end
	draw(t, a)
	draw(t, b)
	draw(t, a)
	if w.CallsTo(stablePath) != 2 {
		t.Errorf("%d calls, wanted one renewal", w.CallsTo(stablePath))
	}
	s.advance(3 * time.Hour) // both forgotten
	draw(t, b)
	draw(t, a)
	if w.CallsTo(stablePath) != 3 {
		t.Errorf("%d calls in all", w.CallsTo(stablePath))
	}
}

// Neither the shortest life that WeChat sends nor an invalid one may make every
// call a renewal.
func TestTokens_ShortLife(t *testing.T) {
	for expires, least := range map[int]time.Duration{300: 149 * time.Second, 1: 0, -5: 0} {
		w, s := newPlace(t)
		w.FailAlways(wechattest.Fault{ExpiresIn: expires})
		n := newNode(t, w, s)
		draw(t, n)
		draw(t, n)
		s.advance(least)
		draw(t, n)
		if w.CallsTo(stablePath) != 1 {
			t.Errorf("expires_in %d: %d calls", expires, w.CallsTo(stablePath))
		}
		s.advance(5 * time.Minute)
		draw(t, n)
		if w.CallsTo(stablePath) != 2 {
			t.Errorf("expires_in %d: %d calls after its end", expires, w.CallsTo(stablePath))
		}
	}
}

func TestTokens_StaleRenewedOnce(t *testing.T) {
	w, s := newPlace(t)
	a, b := newNode(t, w, s), newNode(t, w, s)
	draw(t, a)
	draw(t, b)
	w.Supersede(appID)
	draw(t, a) // 40001, then the new one
	draw(t, b) // 40001, then the one that a has fetched
	if w.CallsTo(stablePath) != 2 || w.CallsTo(codePath) != 6 || w.Forced() != 0 {
		t.Errorf("%d tokens, %d codes, %d forced", w.CallsTo(stablePath), w.CallsTo(codePath), w.Forced())
	}
	for _, code := range []int{40001, 40014, 42001} {
		before := w.CallsTo(codePath)
		w.Fail(wechattest.Fault{Errcode: code}, wechattest.Fault{}, wechattest.Fault{Errcode: code})
		_, err := newNode(t, w, newShelfWith(t, s)).Code(t.Context(), scene, wechat.CodeOptions{})
		e := asError(t, err)
		if e.Kind != wechat.KindConfig || e.Code != code || w.CallsTo(codePath) != before+2 || w.Forced() != 0 {
			t.Errorf("%d again: %v (%v) after %d calls", code, e, e.Kind, w.CallsTo(codePath)-before)
		}
		w.ClearFaults()
	}
}

// newShelfWith returns a store with a copy of the token.
func newShelfWith(t *testing.T, s *memTokenStore) *memTokenStore {
	t.Helper()
	next := newShelf()
	s.mu.Lock()
	defer s.mu.Unlock()
	next.now = s.now
	for name, value := range s.values {
		if strings.HasPrefix(name, "wechat:token:") {
			next.values[name], next.ends[name] = value, s.ends[name]
		}
	}
	return next
}

func TestTokens_WeChatUnavailable(t *testing.T) {
	for name, fault := range map[string]wechattest.Fault{
		"busy": {Errcode: -1}, "empty": {Page: wechattest.EmptyPage}, "HTML": {Page: wechattest.HTMLPage},
		"502": {Page: wechattest.BadGatewayPage}, "half": {Break: wechattest.Truncated}, "quota": {Errcode: 45009},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newPlace(t)
			n := newNode(t, w, s)
			var warned []error
			n.Warn = func(err error) { warned = append(warned, err) }
			draw(t, n)
			s.advance(116 * time.Minute)
			w.Fail(fault)
			draw(t, n)
			if len(warned) != 1 || strings.Contains(warned[0].Error(), secretCore) {
				t.Errorf("warned of %v", warned)
			}
			s.advance(time.Hour)
			w.Fail(fault)
			_, err := n.Code(t.Context(), scene, wechat.CodeOptions{})
			if e := asError(t, err); e.Op != "stable_token" {
				t.Errorf("without any token: %v", e)
			}
		})
	}
}

func TestTokens_StoreUnavailable(t *testing.T) {
	w, s := newPlace(t)
	s.broken = errors.New("redis is away")
	_, err := newNode(t, w, s).Code(t.Context(), scene, wechat.CodeOptions{})
	if e := asError(t, err); !errors.Is(e, s.broken) || w.Calls() != 0 {
		t.Errorf("%v after %d calls", e, w.Calls())
	}
}

func TestCode_ContentType(t *testing.T) {
	w, s := newPlace(t)
	n := newNode(t, w, s)
	draw(t, n)
	w.Fail(wechattest.Fault{Lie: true})
	draw(t, n)
	for name, fault := range map[string]wechattest.Fault{
		"empty": {Page: wechattest.EmptyPage}, "HTML": {Page: wechattest.HTMLPage}, "502": {Page: wechattest.BadGatewayPage},
		"cut off": {Break: wechattest.CutOff}, "-1": {Errcode: -1}, "a minute's quota": {Errcode: 45011},
	} {
		w.Fail(fault)
		if _, err := n.Code(t.Context(), scene, wechat.CodeOptions{}); asError(t, err).Kind != wechat.KindBusy {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCode_Errors(t *testing.T) {
	w, s := newPlace(t)
	n := newNode(t, w, s)
	for name, c := range map[string]struct {
		scene string
		o     wechat.CodeOptions
		code  int
	}{
		"page not published": {scene, wechat.CodeOptions{Page: "pages/new"}, 41030},
		"leading slash":      {scene, wechat.CodeOptions{Page: "/pages/confirm/confirm"}, 41030},
		"scene too long":     {scene + scene, wechat.CodeOptions{}, 40169},
		"scene with percent": {"a%b", wechat.CodeOptions{}, 40129},
	} {
		_, err := n.Code(t.Context(), c.scene, c.o)
		if e := asError(t, err); e.Code != c.code || e.Kind != wechat.KindConfig || e.RID == "" {
			t.Errorf("%s: %v (%v)", name, e, e.Kind)
		}
	}
	if _, err := n.Code(t.Context(), scene, wechat.CodeOptions{Page: "pages/new", AnyPage: true, EnvVersion: "trial"}); err != nil {
		t.Error(err)
	}
}

func TestTokens_NotInErrors(t *testing.T) {
	w, s := newPlace(t)
	n := newNode(t, w, s)
	draw(t, n)
	value, _ := s.Load(t.Context(), "wechat:token:"+appID)
	_, rest, _ := strings.Cut(string(value), `"token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if len(token) < 20 {
		t.Fatalf("no token in %s", value)
	}
	w.Fail(wechattest.Fault{Errcode: 45009, Errmsg: "token " + token + " and " + secret})
	_, err := n.Code(t.Context(), scene, wechat.CodeOptions{})
	if e := asError(t, err); strings.Contains(e.Error(), token) || strings.Contains(e.Error(), secretCore) {
		t.Errorf("the error shows it: %v", e)
	}
}
