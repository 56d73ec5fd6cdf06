package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// requireKnownError fails the test if the error is none that the API answers: no input of
// a client may cause an internal error.
func requireKnownError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if !slices.ContainsFunc([]error{ErrRequest, ErrTooLarge, ErrMediaType, ticket.ErrInvalidSecret}, func(known error) bool { return errors.Is(err, known) }) {
		t.Errorf("not a known error: %v", err)
	}
	var field *InvalidError
	if errors.As(err, &field) && field.Detail == "" {
		t.Error("the error does not name what is malformed")
	}
}

func FuzzReadBody(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"provider":"p","code":"c","match":"47","user":{"nickname":"n","avatar_url":"https://x"}}`,
		"null", "[]", `{"user":null}`, `{"code":1}`, `{"user":{"nickname":[]}}`, "{}{}", "\xff", `{"\ud800":1}`,
		strings.Repeat("[", 1000), `{"code":1e999}`, strings.Repeat(" ", maxBody), strings.Repeat("x", maxBody+1)} {
		f.Add("application/json", []byte(seed), false)
		f.Add("application/json; charset=utf-8", []byte(seed), true)
	}
	f.Add("", []byte("{}"), true)
	f.Add("application/json; charset", []byte("{}"), false)
	f.Fuzz(func(t *testing.T, kind string, body []byte, chunks bool) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header["Content-Type"] = []string{kind}
		if chunks {
			r.ContentLength = -1
		}
		got, err := ReadBody(echo.New().NewContext(r, httptest.NewRecorder()))
		if requireKnownError(t, err); err != nil {
			return
		}
		if len(got) > maxBody || len(body) > 0 && !bytes.Equal(got, body) {
			t.Fatalf("%d bytes became %d", len(body), len(got))
		}
		var in struct {
			Provider string      `json:"provider"`
			Code     string      `json:"code"`
			Seq      *int64      `json:"seq"`
			User     ticket.User `json:"user"`
		}
		if err := DecodeBody(got, &in); err != nil {
			requireKnownError(t, err)
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(got, &object); err != nil || object == nil || !utf8.Valid(got) {
			t.Errorf("%q was accepted: %v", got, err)
		}
		if user, err := in.User.Clean(); err == nil &&
			(utf8.RuneCountInString(user.Nickname) > ticket.MaxNickname || len(user.AvatarURL) > ticket.MaxAvatar) {
			t.Errorf("a user out of bounds: %+v", user)
		}
	})
}

func FuzzBearer(f *testing.F) {
	var raw [32]byte
	copy(raw[:], "an arbitrary secret for the test")
	secret, err := ticket.ParseSecret("YW4gYXJiaXRyYXJ5IHNlY3JldCBmb3IgdGhlIHRlc3Q")
	if err != nil {
		f.Fatal(err)
	}
	id, text := secret.ID(), secret.Reveal()
	for _, seed := range []string{"", "Bearer " + text, "bearer  " + text + " ", "Bearer", text, "Bearer " + text + "=", "Bearer " + string(id)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		err := CheckBearer(r, id)
		requireKnownError(t, err)
		opened := err == nil
		want := len(header) >= 6 && strings.EqualFold(header[:6], "bearer") && strings.TrimSpace(header[6:]) == text && header[6:7] == " "
		if opened != want {
			t.Errorf("%q is accepted: %v", header, opened)
		}
	})
}

func FuzzClientAddr(f *testing.F) {
	for _, seed := range []string{"", "198.51.100.1", "1.1.1.1, 198.51.100.1, 10.2.2.2", "[2001:db8::7]:1", "::ffff:1.2.3.4", "fe80::1%eth0",
		"unknown", ",", "10.1.1.1", "[[1.2.3.4]]", strings.Repeat("10.0.0.1,", 40), "[::1", "1.2.3.4:99999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p := NewProxies(trustedPrefixes(t), slog.New(slog.DiscardHandler))
		got := p.Addr(requestFrom("10.1.1.1:1", forwarded, header))
		if !got.RateKey.IsValid() {
			t.Errorf("%q: no rate key", header)
		}
		if got.Display.IsValid() && (globalOnly(got.Display) != got.Display || got.Display.Zone() != "" || got.Display.Is4In6()) {
			t.Errorf("%q: displayed as %v", header, got.Display)
		}
		// Entries added on the left must not change a displayed address.
		if got.Display.IsValid() && strings.Count(header, ",") < maxHops-2 {
			if spoofed := p.Addr(requestFrom("10.1.1.1:1", forwarded, "1.2.3.4, "+header)); spoofed != got && !p.isTrusted(got.Display) {
				t.Errorf("%q: spoofed to %v from %v", header, spoofed, got)
			}
		}
	})
}

func FuzzQueryInt(f *testing.F) {
	for _, seed := range []string{"", "0", "25", "55", "56", "-1", "1.5", "x", "99999999999999999999", "٣", " 5", "5\n", "0x10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest("GET", "/?wait="+url.QueryEscape(text), nil)
		n, err := QueryInt(echo.New().NewContext(r, httptest.NewRecorder()), "wait", 25, 55)
		requireKnownError(t, err)
		want, wrong := strconv.Atoi(text)
		if good := wrong == nil && want >= 0 && want <= 55; good != (err == nil) || good && int64(want) != n {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	})
}

func FuzzUserAgent(f *testing.F) {
	for _, seed := range []string{"", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
		"x/", "/1", "(((", ")))", "Chrome/" + strings.Repeat("9", 600), "MicroMessenger/8.0", "\xff",
		"Approved by your IT desk/1.0", "已通过安全检查，请放心确认/1.0", "Mozilla/5.0 (Windows NT 10.0) Chrome/请放心确认 Safari/537.36 Verified/1"} {
		f.Add(seed)
	}
	shown := []string{"", "WeChat", "QQ Browser", "UC Browser", "360 Browser", "Quark", "Yandex Browser", "Maxthon",
		"Chrome", "Headless Chrome", "Edge", "Firefox", "Safari", "Internet Explorer", "Opera", "Opera Mini", "Opera Touch", "Vivaldi",
		"Samsung Browser", "Huawei Browser", "Miui Browser", "Android browser",
		"Windows", "Windows Phone", "macOS", "Linux", "FreeBSD", "ChromeOS", "Android", "iOS", "HarmonyOS", "BlackBerry"}
	f.Fuzz(func(t *testing.T, header string) {
		browser, system := UserAgent(header)
		// Only known names are displayed, never text from the header.
		name, version := browser, ""
		if at := strings.LastIndexByte(browser, ' '); at >= 0 && strings.Trim(browser[at+1:], "0123456789") == "" {
			name, version = browser[:at], browser[at+1:]
		}
		if !slices.Contains(shown, name) || len(version) > 4 || !slices.Contains(shown, system) {
			t.Errorf("%q on %q", browser, system)
		}
		// The record contains only clean text.
		tk := ticket.New("x", ticket.Request{Client: &client.Client{}, Browser: browser, OS: system}, "k", time.Now(), 1)
		for _, text := range []string{tk.Browser, tk.OS} {
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > 48 || provider.CleanText(text, 48) != text {
				t.Errorf("%q", text)
			}
		}
	})
}
