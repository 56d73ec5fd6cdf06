package devicelogin

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/makiuchi-d/gozxing"
	zxing "github.com/makiuchi-d/gozxing/qrcode"

	"loginhub/hub/hubtest"
)

const issuer = "http://localhost"

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// provider is an OpenID provider with the device grant. Each poll gets the next answer:
// an error code, a status, or "token".
type provider struct {
	answers []string
	hold    time.Duration        // of each poll
	claims  func(map[string]any) // changes the ID token
	polls   []time.Duration      // when they began, after the device authorization
	began   time.Time
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{"issuer": issuer, "token_endpoint": issuer + "/token", "device_authorization_endpoint": issuer + "/device", "jwks_uri": issuer + "/keys"}
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}}
	case "/device":
		p.began = time.Now()
		answer = map[string]any{"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": issuer + "/d", "expires_in": 60, "interval": 5, "match_code": "47"}
	case "/token":
		answer = p.poll(w)
	}
	if answer != nil {
		json.NewEncoder(w).Encode(answer)
	}
}

func (p *provider) poll(w http.ResponseWriter) any {
	p.polls = append(p.polls, time.Since(p.began))
	<-time.After(p.hold) // the clock of synctest
	next := p.answers[0]
	if len(p.answers) > 1 {
		p.answers = p.answers[1:]
	}
	switch next {
	case "token":
		return map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.idToken()}
	case "502":
		w.WriteHeader(http.StatusBadGateway)
		return nil
	}
	w.WriteHeader(http.StatusBadRequest)
	return map[string]string{"error": next}
}

func (p *provider) idToken() string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		panic(err)
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuer, "aud": "cli", "sub": "s", "iat": now, "exp": now + 60}
	if p.claims != nil {
		p.claims(claims)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return text
}

// run logs in at the provider over pipes. It returns what the screen shows.
func run(t *testing.T, p *provider) (token *Token, shown string, err error) {
	pipe := hubtest.NewPipeListener()
	server := http.Server{Handler: p}
	go server.Serve(pipe)
	defer server.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) { return pipe.Dial(ctx) }}
	defer transport.CloseIdleConnections()
	var screen strings.Builder
	l := Login{Issuer: issuer, ClientID: "cli", Scope: "openid", HTTP: &http.Client{Transport: transport}, Screen: Screen{Out: &screen, Columns: 80}}
	token, err = l.Run(t.Context())
	return token, screen.String(), err
}

func TestLogin_Polls(t *testing.T) {
	const pending = "authorization_pending"
	for name, c := range map[string]struct {
		answers []string
		hold    time.Duration
		polls   []int // seconds after the code
		err     error
	}{
		"the first answer":      {[]string{"token"}, 0, []int{0}, nil},
		"every interval":        {[]string{pending, pending, "token"}, 0, []int{0, 5, 10}, nil},
		"held polls follow":     {[]string{pending, pending, "token"}, 8 * time.Second, []int{0, 8, 16}, nil},
		"slow_down adds five":   {[]string{"slow_down", pending, "token"}, 0, []int{0, 10, 20}, nil},
		"a busy provider":       {[]string{"502", "502", "502", "502", "token"}, 0, []int{0, 5, 10, 15, 23}, nil},
		"declined":              {[]string{pending, "access_denied"}, 0, []int{0, 5}, ErrDenied},
		"expired":               {[]string{"expired_token"}, 0, []int{0}, ErrExpired},
		"expired by the clock":  {[]string{pending}, 20 * time.Second, []int{0, 20, 40}, ErrExpired},
		"another error at once": {[]string{"invalid_grant"}, 0, []int{0}, &oauthError{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{answers: c.answers, hold: c.hold}
				token, _, err := run(t, p)
				synctest.Wait() // for the provider
				var refused *oauthError
				if _, other := c.err.(*oauthError); other && !errors.As(err, &refused) || !other && !errors.Is(err, c.err) || (err == nil) != (token != nil) {
					t.Errorf("token %v, error %v, want %v", token, err, c.err)
				}
				var polls []int
				for _, at := range p.polls {
					polls = append(polls, int(at.Round(time.Second).Seconds()))
				}
				if !slices.Equal(polls, c.polls) {
					t.Errorf("polls at %v, want %v", polls, c.polls)
				}
			})
		})
	}
}

func TestLogin_ChecksIDToken(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"another issuer":  func(c map[string]any) { c["iss"] = "https://other.example" },
		"another client":  func(c map[string]any) { c["aud"] = "other" },
		"several clients": func(c map[string]any) { c["aud"] = []string{"cli", "other"} },
		"no subject":      func(c map[string]any) { delete(c, "sub") },
		"expired":         func(c map[string]any) { c["exp"] = time.Now().Unix() - 61 },
		"without an end":  func(c map[string]any) { delete(c, "exp") },
		"from the future": func(c map[string]any) { c["iat"] = time.Now().Unix() + 61 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if token, _, err := run(t, &provider{answers: []string{"token"}, claims: change}); err == nil {
					t.Errorf("accepted: %+v", token)
				}
			})
		})
	}
}

func TestScreen_ShowsCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, shown, err := run(t, &provider{answers: []string{"token"}})
		if err != nil || !strings.Contains(shown, "BCDF-GHJK") || !strings.Contains(shown, "  47\n") {
			t.Errorf("%v, shown %q", err, shown)
		}
	})
	const link = "https://login.example.com/s/AAAAAAAAAAAAAAAAAAAAAA"
	if got := readCode(t, draw(link, 80)); got != link {
		t.Errorf("the code is %q", got)
	}
	if draw(link, 30) != "" {
		t.Error("a code is wider than its terminal")
	}
}

// readCode reads the half blocks of a terminal as a camera does.
func readCode(t *testing.T, text string) string {
	t.Helper()
	lines := strings.Split(strings.TrimRight(strings.NewReplacer(blackOnWhite, "", reset, "").Replace(text), "\n"), "\n")
	width := len([]rune(lines[len(lines)/2]))
	const module = 6
	picture := image.NewGray(image.Rect(0, 0, width*module, 2*len(lines)*module))
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	for y, line := range lines {
		for x, char := range []rune(line) {
			for half, blocks := range []string{"█▀", "█▄"} {
				if !strings.ContainsRune(blocks, char) {
					continue
				}
				for dy := range module {
					for dx := range module {
						picture.SetGray(x*module+dx, (2*y+half)*module+dy, color.Gray{})
					}
				}
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	found, err := zxing.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil { // the search for the patterns misses some codes that are whole
		found, err = zxing.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	return found.GetText()
}
