package main_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// The fake WeChat's mini-program.
const appID, appSecret = "wx0123456789abcdef", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

// startWeChat starts a fake WeChat with the mini-program, and returns the settings of a node that
// uses it.
func startWeChat(t testing.TB) (*wechattest.Server, []string) {
	t.Helper()
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: appID, Secret: appSecret, OpenPlatform: "ours"})
	return w, []string{"WECHAT_APP_ID=" + appID, "WECHAT_APP_SECRET=" + appSecret, "WECHAT_API_URL=" + w.URL}
}

// secrets are the values that must not appear anywhere, each with a name for the report.
type secrets struct {
	all []struct{ name, value string }
}

func (s *secrets) add(name, value string) {
	s.all = append(s.all, struct{ name, value string }{name, value})
}

// addToken adds a token and its signature.
func (s *secrets) addToken(value string) {
	s.add("token", value)
	s.add("signature", value[strings.LastIndex(value, ".")+1:])
}

// addSecret adds a ticket's secret.
func (s *secrets) addSecret(value string) { s.addEncodings("secret", value) }

// addEncodings adds 256 bits, given as base64url, in every encoding, and half of them.
func (s *secrets) addEncodings(name, value string) {
	raw, _ := base64.RawURLEncoding.DecodeString(value)
	s.add(name, value)
	s.add("half a "+name, value[:22])
	s.add(name+"'s bytes", string(raw))
	s.add(name+" in hex", hex.EncodeToString(raw))
	s.add(name+" in base64", base64.StdEncoding.EncodeToString(raw))
}

// findIn reports every secret that is in the text.
func (s *secrets) findIn(t *testing.T, where, text string) {
	t.Helper()
	for _, one := range s.all {
		if strings.Contains(text, one.value) {
			t.Errorf("%s in %s: %s", one.name, where, one.value)
		}
	}
}

// dumpRedis returns the content of a Redis: keys, values and raw bytes.
func dumpRedis(t *testing.T, ctx context.Context, redis *hubtest.Redis) string {
	t.Helper()
	var b strings.Builder
	for _, k := range redis.Client.Keys(ctx, "*").Val() {
		raw, err := redis.Client.Dump(ctx, k).Result()
		fmt.Fprintln(&b, k, raw, err, redis.Client.HGetAll(ctx, k).Val(), redis.Client.Get(ctx, k).Val())
	}
	if !strings.Contains(b.String(), "loginhub:{") {
		t.Error("the dump has no ticket")
	}
	return b.String()
}

func TestSecrecy_RedisAndLogs(t *testing.T) {
	t.Parallel()
	for _, provider := range []string{"sandbox", "wechat"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			hidden := &secrets{}
			hidden.add("master key", hubtest.Key)
			hidden.add("app secret", appSecret)
			settings := []string{"LOG=debug"}
			w, of := startWeChat(t)
			phone := hubtest.NewPhone("whisper")
			code := phone.Code
			if provider == "wechat" {
				settings = append(settings, of...)
				code = func() string { return w.Code(appID, "whisper") }
			}
			redis, nodes := cluster(t, 2, settings...)
			ctx := testContext(t, 30*time.Second)
			stop := redis.Monitor(t)
			var dumps strings.Builder
			var ids []string
			ask := func(url, id, action string) (*hubtest.Response, error) {
				c := code()
				hidden.add("code", c)
				return phone.Do(ctx, url, id, action, map[string]any{"provider": provider, "code": c})
			}
			for i := range 4 {
				p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[1].URL)
				hidden.addSecret(p.Secret)
				ids = append(ids, p.ID)
				for _, action := range []string{"scan", "confirm"} {
					if a, err := ask(nodes[0].URL, p.ID, action); err != nil || a.Status != 200 {
						t.Fatalf("%s: %+v %v", action, a, err)
					}
					dumps.WriteString(dumpRedis(t, ctx, redis))
				}
				v, err := p.socket.Until(ctx, "confirmed")
				if err != nil {
					t.Fatal(err)
				}
				hidden.addToken(v.Token)
				p.seen = *v
				sendInvalid(t, ctx, p, nodes[i%2], hidden)
				if err := p.ackAndClose(ctx, v.Seq); err != nil {
					t.Fatal(err)
				}
				dumps.WriteString(dumpRedis(t, ctx, redis))
			}
			if provider == "wechat" {
				triggerWeChatFaults(t, ctx, w, nodes[0], ask)
				if len(w.SessionKeys()) < 8 {
					t.Errorf("only %d session keys were issued", len(w.SessionKeys()))
				}
				hidden.add("session key", wechattest.SessionKeyPrefix)
			}
			hidden.findIn(t, "Redis", dumps.String())
			lines := strings.Join(stop(), "\n")
			if strings.Count(strings.ToLower(lines), `"evalsha"`) < 4*7 {
				t.Errorf("MONITOR recorded too little:\n%s", lines)
			}
			hidden.findIn(t, "MONITOR", lines)
			for _, id := range ids {
				hidden.add("ticket", id)
			}
			// A reader of the log must not be able to scan the tickets in it.
			for i, n := range nodes {
				hidden.findIn(t, fmt.Sprintf("the log of node %d", i), n.Log())
				if !strings.Contains(n.Log(), `"level":"INFO"`) {
					t.Error("the log is empty")
				}
			}
		})
	}
}

func TestSecrecy_RedisPassword(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	const password = "hush-hush-0123456789"
	at := strings.Replace(redis.URL, hubtest.HubPassword, password, 1)
	n := hubtest.LaunchNode(t, program, "LOG=debug", "REDIS_URL="+at)
	hubtest.Eventually(t, 10*time.Second, "the node logs that Redis refuses the password", func() bool {
		return strings.Contains(n.Log(), "Redis does not answer yet")
	})
	hubtest.Eventually(t, 10*time.Second, "the node runs and is not ready", func() bool { return n.Get("/readyz") == 503 })
	if strings.Contains(n.Log(), password) {
		t.Errorf("the log contains the password:\n%s", n.Log())
	}
}

// sendInvalid sends the ticket's secret in calls that are refused and in places where it does not
// belong.
func sendInvalid(t *testing.T, ctx context.Context, p *waiter, n *hubtest.Node, hidden *secrets) {
	t.Helper()
	other := mustMake(t, ctx, n.URL)
	hidden.addSecret(other.Secret)
	wrong := &hubtest.Ticket{ID: other.ID, Secret: p.Secret}
	a, err := wrong.PollResponse(ctx, n.URL, 0, 0)
	wantRefusal(t, "poll with another ticket's secret", a, err, 401, "invalid_secret")
	a, err = wrong.Ack(ctx, n.URL, 1)
	wantRefusal(t, "ack with another ticket's secret", a, err, 401, "invalid_secret")
	a, err = dialRefused(ctx, wrong, n.URL)
	wantRefusal(t, "socket with another ticket's secret", a, err, 401, "invalid_secret")
	for _, bad := range []string{`{"provider":"` + p.Secret + `","code":"x"}`, `{"code":"` + p.Secret, `{"code":["` + p.Secret + `"]}`} {
		a, err := hubtest.Request(ctx, "POST", other.URL(n.URL, "scan"), bad)
		wantRefusal(t, "malformed scan", a, err, 400, "invalid_request")
		if err == nil && strings.Contains(string(a.Body), p.Secret) {
			t.Errorf("the answer contains the secret: %s", a.Body)
		}
	}
}

// triggerWeChatFaults makes WeChat fail in every way, for the logs.
func triggerWeChatFaults(t *testing.T, ctx context.Context, w *wechattest.Server, n *hubtest.Node, ask func(url, id, action string) (*hubtest.Response, error)) {
	t.Helper()
	ticket := mustMake(t, ctx, n.URL)
	for name, f := range weChatFaults {
		w.Fail(f.fault)
		if a, err := ask(n.URL, ticket.ID, "scan"); err != nil || a.Status < 400 {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
}

func TestRedis_CommandsPerLogin(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 3)
	ctx := testContext(t, 20*time.Second)
	for name, at := range map[string][4]int{"on one node": {0, 0, 0, 0}, "on three nodes": {0, 1, 2, 0}, "confirmed where it waits": {1, 2, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			stop, messages := redis.Monitor(t), redis.Subscribe(t)
			p := mustOpenWaiter(t, ctx, nodes[at[0]].URL, nodes[at[1]].URL)
			phone := hubtest.NewPhone("thrifty")
			mustCall(t, ctx, phone, nodes[at[2]].URL, p.ID, "scan")
			mustCall(t, ctx, phone, nodes[at[3]].URL, p.ID, "confirm")
			v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:thrifty")
			if err != nil {
				t.Fatal(err)
			}
			if err := p.ackAndClose(ctx, v.Seq); err != nil {
				t.Fatal(err)
			}
			var commands []string
			for _, line := range stop() {
				if strings.Contains(line, p.ID) && !strings.Contains(line, " lua] ") {
					commands = append(commands, line)
				}
			}
			if len(commands) > 7 {
				t.Errorf("%d commands:\n%s", len(commands), strings.Join(commands, "\n"))
			}
			if len(commands) < 7 {
				t.Errorf("only %d commands seen: MONITOR missed some", len(commands))
			}
			sent := messagesFor(messages(), p.ID)
			if want := map[string]int{nodes[at[1]].ID(): 2}; !sameCounts(sent, want) {
				t.Errorf("messages %v, wanted %v", sent, want)
			}
		})
	}
}

func TestRedis_MessagesPerChange(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 3)
	ctx := testContext(t, 20*time.Second)
	messages := redis.Subscribe(t)
	p := mustOpenWaiter(t, ctx, nodes[2].URL, nodes[0].URL)
	mustAttach(t, ctx, p, nodes[1].URL, "pending")
	phone := hubtest.NewPhone("two windows")
	mustCall(t, ctx, phone, nodes[2].URL, p.ID, "scan", "confirm")
	v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:two windows")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ackAndClose(ctx, v.Seq); err != nil {
		t.Fatal(err)
	}
	// The node that handled the ack notifies its own waiters. The other node needs a message.
	want := map[string]int{nodes[0].ID(): 2, nodes[1].ID(): 3}
	if sent := messagesFor(messages(), p.ID); !sameCounts(sent, want) {
		t.Errorf("messages %v, wanted %v", sent, want)
	}
}

// messagesFor counts the messages about the ticket, by node.
func messagesFor(all []*redis.Message, id string) map[string]int {
	count := map[string]int{}
	for _, m := range all {
		if strings.HasPrefix(m.Payload, "t"+id) {
			count[strings.TrimPrefix(m.Channel, "loginhub:mail:")]++
		}
	}
	return count
}

func sameCounts(a, b map[string]int) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
