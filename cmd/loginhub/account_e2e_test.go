package main_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// The official account of the imitation WeChat.
const (
	mpID, mpSecret, mpToken = "wx00112233445566aa", "mp-secret-0123456789abcdef012345", "mpT0ken"
	mpKey                   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// startAccount starts an imitation of WeChat with an official account, and two nodes with it as their
// only provider. fields are further ones, settings those of the nodes.
func startAccount(t *testing.T, fields string, settings ...string) (*wechattest.Server, []*hubtest.Node) {
	t.Helper()
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: mpID, Secret: mpSecret, OpenPlatform: "acme", CallbackHost: "login.test", Token: mpToken, AESKey: mpKey})
	_, nodes := cluster(t, 2, append(settings, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", "providers:\n  - {id: mp, kind: wechat_mp, app_id: "+mpID+
		", app_secret_file: "+hubtest.WriteFile(t, "secret", mpSecret)+", token_file: "+hubtest.WriteFile(t, "token", mpToken)+
		", api_url: '"+w.URL+"'"+fields+"}\nclients:\n  - {id: demo, label: 演示, origins: ['"+ourOrigin+"']}\n"))...)
	return w, nodes
}

// aesField is the field of encrypted events.
func aesField(t *testing.T) string { return ", aes_key_file: " + hubtest.WriteFile(t, "aes", mpKey) }

// linkToken is the token in the link of a message.
var linkToken = regexp.MustCompile(`#t=(\w+)`)

// scanAccount fetches the QR code of a ticket, which the user scans. It returns WeChat's event.
func scanAccount(t *testing.T, w *wechattest.Server, url string, ticket *hubtest.Ticket, user string, mode wechattest.Mode) wechattest.Event {
	t.Helper()
	pngAt(t, url+ticket.QRImage)
	e, ok := w.Scan(w.SceneCode(ticket.ID), user, mode)
	if !ok {
		t.Fatalf("no code with the scene %s", ticket.ID)
	}
	return e
}

// send sends an event; the answer must have the text, at the first try.
func send(t *testing.T, ctx context.Context, w *wechattest.Server, url string, e wechattest.Event, want string) (text string) {
	t.Helper()
	text, tries, err := w.Send(ctx, url, e)
	if err != nil || tries != 1 || !strings.Contains(text, want) || (text == "") != (want == "") {
		t.Errorf("%+v: %q after %d tries, %v; wanted %s", e, text, tries, err, want)
	}
	return text
}

// TestAccount_Scan: an event scans on any node and never confirms; its repeats get the same answer.
func TestAccount_Scan(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]wechattest.Mode{"plain": wechattest.Plain, "compatible": wechattest.Compatible, "safe": wechattest.Safe} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := ""
			if mode != wechattest.Plain {
				fields = aesField(t)
			}
			w, nodes := startAccount(t, fields)
			ctx, events := loginContext(t), "/api/wechat/events"
			p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[0].URL)
			e := scanAccount(t, w, nodes[1].URL, p.Ticket, "alice", mode)
			texts := make([]string, 6)
			var all sync.WaitGroup
			for i := range texts { // WeChat repeats what is not answered
				all.Go(func() {
					texts[i] = send(t, ctx, w, nodes[i%2].URL+events+[]string{"", "/mp"}[i/3], e, ourOrigin+"/s/"+p.ID)
				})
			}
			all.Wait()
			for _, text := range texts {
				if linkToken.ReplaceAllString(text, "") != linkToken.ReplaceAllString(texts[0], "") || !strings.Contains(text, "演示") {
					t.Errorf("answers %q and %q", texts[0], text)
				}
			}
			mustNext(t, ctx, p, "scanned")
			send(t, ctx, w, nodes[1].URL+events, scanAccount(t, w, nodes[0].URL, p.Ticket, "bob", mode), "别人已经扫了")
			send(t, ctx, w, nodes[1].URL+events, wechattest.Event{AppID: mpID, User: "bob", Name: "SCAN", Key: strings.Repeat("A", 22), Mode: mode}, "已失效")
			for _, other := range []string{"unsubscribe", "CLICK", "subscribe", "SCAN"} {
				send(t, ctx, w, nodes[0].URL+events, wechattest.Event{AppID: mpID, User: "bob", Name: other, Key: "campaign-7", Mode: mode}, "")
			}
			if v, err := p.Poll(ctx, nodes[1].URL, 0, 0); err != nil || v.State != "scanned" || v.Seq != 2 {
				t.Errorf("%+v %v", v, err)
			}
			if lines := strings.Count(nodes[0].Stop(t)+nodes[1].Stop(t), `login scanned`); lines != 1 {
				t.Errorf("%d audit lines of one scan", lines)
			}
		})
	}
}

// TestAccount_Forged: nothing that WeChat did not send reaches a ticket.
func TestAccount_Forged(t *testing.T) {
	t.Parallel()
	post := func(ctx context.Context, url string, e wechattest.Event, w *wechattest.Server, change func(q, body *string)) *hubtest.Response {
		t.Helper()
		values, raw := w.Request(e)
		q, body := values.Encode(), string(raw)
		change(&q, &body)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/wechat/events?"+q, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return &hubtest.Response{Status: resp.StatusCode}
	}
	safe, safeNodes := startAccount(t, aesField(t))
	plain, plainNodes := startAccount(t, "")
	ctx := loginContext(t)
	hidden, open := hubtest.MustCreateTicket(t, ctx, safeNodes[0].URL), hubtest.MustCreateTicket(t, ctx, plainNodes[0].URL)
	sealed := scanAccount(t, safe, safeNodes[0].URL, hidden, "alice", wechattest.Safe)
	for name, change := range map[string]func(q, body *string){
		"another signature": func(q, _ *string) { *q = strings.Replace(*q, "msg_signature=", "msg_signature=0", 1) },
		"no signature":      func(q, _ *string) { *q = "" },
		"another body":      func(_, body *string) { *body = strings.Replace(*body, "<Encrypt><![CDATA[", "<Encrypt><![CDATA[A", 1) },
		"no XML":            func(_, body *string) { *body = "x" },
		"an entity":         func(_, body *string) { *body = `<!DOCTYPE x [<!ENTITY a "b">]>` + *body },
		"a plain event": func(q, body *string) {
			values, raw := plain.Request(wechattest.Event{AppID: mpID, User: "eve", Name: "SCAN", Key: hidden.ID})
			*q, *body = values.Encode(), string(raw)
		},
	} {
		if a := post(ctx, safeNodes[1].URL, sealed, safe, change); a.Status != 403 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a := post(ctx, safeNodes[1].URL, sealed, safe, func(_, body *string) { *body += strings.Repeat(" ", 16<<10) }); a.Status != 413 {
		t.Errorf("too large: %d", a.Status)
	}
	// The signature of a plain event does not cover its body: it serves one event only.
	e, q := scanAccount(t, plain, plainNodes[0].URL, hubtest.MustCreateTicket(t, ctx, plainNodes[0].URL), "alice", wechattest.Plain), ""
	if a := post(ctx, plainNodes[0].URL, e, plain, func(query, _ *string) { q = *query }); a.Status != 200 {
		t.Errorf("an event: %d", a.Status)
	}
	e.User, e.Name, e.Key = "eve", "SCAN", open.ID
	if a := post(ctx, plainNodes[1].URL, e, plain, func(query, _ *string) { *query = q }); a.Status != 403 {
		t.Errorf("another event with its signature: %d", a.Status)
	}
	for ticket, url := range map[*hubtest.Ticket]string{hidden: safeNodes[0].URL, open: plainNodes[0].URL} {
		if v, err := ticket.Poll(ctx, url, 0, 0); err != nil || v.State != "pending" {
			t.Errorf("%+v %v", v, err)
		}
	}
}

// TestAccount_HangingWeChat: the user gets an answer in time, and the unionid is asked for once.
func TestAccount_HangingWeChat(t *testing.T) {
	t.Parallel()
	w, nodes := startAccount(t, aesField(t)+", unionid: true")
	ctx := hubtest.Context(t, 40*time.Second)
	ticket := hubtest.MustCreateTicket(t, ctx, nodes[0].URL)
	e := scanAccount(t, w, nodes[0].URL, ticket, "alice", wechattest.Safe)
	w.Fail(wechattest.Fault{Delay: time.Minute})
	send(t, ctx, w, nodes[0].URL+"/api/wechat/events", e, "暂时无法登录")
	if v, err := ticket.Poll(ctx, nodes[1].URL, 0, 0); err != nil || v.State != "pending" || w.CallsTo("/cgi-bin/user/info") != 1 {
		t.Errorf("%+v %v", v, err)
	}
	again := scanAccount(t, w, nodes[0].URL, ticket, "alice", wechattest.Safe)
	again.Created++
	send(t, ctx, w, nodes[1].URL+"/api/wechat/events", again, "/s/"+ticket.ID)
}
