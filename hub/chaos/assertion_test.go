package chaos_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// appIssuer imitates the back end of a company's own app: it signs assertions for its
// users.
type appIssuer struct {
	issuer string
	keys   *httptest.Server // the URL is LOGINHUB_APP_JWKS_URL
	key    ed25519.PrivateKey
}

func startAppIssuer(t *testing.T) *appIssuer {
	t.Helper()
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	c := &appIssuer{issuer: "https://sso.example.com", key: private}
	c.keys = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"%s"}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(c.keys.Close)
	return c
}

// newPhone implements scenario.newPhone: phones with the company's app.
func (c *appIssuer) newPhone(user string) (*hubtest.Phone, string) {
	phone := hubtest.NewPhone(user)
	phone.Login = func(ticket string) (provider, code string) {
		now := time.Now().Unix()
		body, _ := json.Marshal(map[string]any{"iss": c.issuer, "aud": "http://login.test", "sub": user, "jti": rand.Text(),
			"ticket": ticket, "iat": now, "exp": now + 60})
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k1"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
		return "app", signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(c.key, []byte(signed)))
	}
	return phone, "app:" + user
}

func TestWeChat_HangsOtherProviderWorks(t *testing.T) {
	t.Parallel()
	own := startAppIssuer(t)
	w := startWechat(t, "APP_JWKS_URL="+own.keys.URL, "APP_ISSUER="+own.issuer, "TICKET_TTL=10m")
	node := w.nodes[0]
	w.server().FailAlways(wechattest.Fault{Delay: 20 * time.Second})
	before := hubtest.MeasureUsage(t, w.nodes)
	// There are more phones than a node's concurrent calls to WeChat, and they do not
	// give up. When one call times out, another takes its slot.
	const phones = 320
	ctx, enough := hubtest.WithTimeout(5 * time.Minute)
	defer enough()
	var hanging sync.WaitGroup
	for i := range phones {
		ticket, err := hubtest.CreateTicket(ctx, node.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		hanging.Go(func() {
			phone, _ := w.newPhone(fmt.Sprint("slow-", i))
			for ctx.Err() == nil {
				if a, err := phone.Do(ctx, node.URL, ticket.ID, "confirm", nil); err == nil && a.Status != http.StatusServiceUnavailable {
					t.Errorf("confirm: %+v", a)
					return
				}
				pause(ctx, 500*time.Millisecond)
			}
		})
	}
	hangs := func() {
		hubtest.Eventually(t, time.Minute, "WeChat has as many calls as a node makes, and hangs", func() bool {
			calls, err := node.Stacks("loginhub/wechat.")
			return err == nil && calls >= 256
		})
	}
	hangs()
	s := scenario{nodes: []*hubtest.Node{node}, newPhone: own.newPhone, extraWaiters: true}.run(t, logins(t, 200), 10, fault{})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones with the company's app saw %d errors", s.Errors)
	}
	hangs() // still at the limit
	enough()
	hanging.Wait()
	w.server().ClearFaults()
	complete(t, scenario{nodes: w.nodes, newPhone: w.newPhone}.run(t, logins(t, 50), 25, fault{}))
	hubtest.AssertNoLeak(t, w.nodes, before)
}
