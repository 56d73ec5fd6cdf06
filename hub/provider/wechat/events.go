package wechat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

const (
	// replyLimit is how long an event may take. WeChat waits for 5 s, and sends an event
	// without a reply three times in all.
	replyLimit = 4500 * time.Millisecond
	// claimLife is how long one node alone handles an event: until WeChat sends it again.
	claimLife = 5 * time.Second
	// answerLife is how long an answer is kept. It is more than an event is valid, so that
	// an event is handled once.
	answerLife = 12 * time.Minute
	answerTick = 50 * time.Millisecond
)

// events implements provider.Events.
type events struct {
	account
	tokens *client.Tokens
	store  provider.SharedStore
	log    *slog.Logger
}

// ticketText matches the scene of a ticket. The account may have codes of other uses.
var ticketText = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// Receive implements provider.Events.
func (e *events) Receive(ctx context.Context, n provider.Notification, scanned func(context.Context, provider.Scan) provider.Prompt) (provider.Answer, error) {
	now := e.store.Now()
	if n.Method == http.MethodGet {
		echo, err := e.push.Echo(n.Query, now)
		return provider.Answer{Type: "text/plain; charset=utf-8", Body: echo}, forged(err)
	}
	event, err := e.push.Open(n.Query, n.Body, now)
	answer := provider.Answer{Type: "text/plain; charset=utf-8"}
	if err != nil || !ticketText.MatchString(event.Scene()) {
		return answer, forged(err)
	}
	// WeChat may give up before the scan is done. The next try then gets its answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyLimit)
	defer cancel()
	text, err := e.once(ctx, n, event, func() string {
		return promptText(scanned(ctx, provider.Scan{Ticket: event.Scene(), User: func(ctx context.Context) (provider.Identity, error) { return e.user(ctx, event.OpenID) }}))
	})
	if err != nil || text == "" {
		if err != nil && !errors.Is(err, provider.ErrEventInvalid) {
			e.log.WarnContext(ctx, "an event has no answer", "app_id", e.id, "error", err)
		}
		return answer, err // WeChat sends an event that got an error again
	}
	answer.Type = "text/xml; charset=utf-8"
	answer.Body, err = e.push.Reply(event, text, now)
	return answer, err
}

// forged maps an error of the account's Push.
func forged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", provider.ErrEventInvalid, err)
}

// user returns the user of an event.
func (e *events) user(ctx context.Context, openid string) (provider.Identity, error) {
	by := provider.Identity{Realm: e.id, Subject: openid}
	if !e.unionID {
		return by, nil
	}
	var err error
	if by.Union, err = e.tokens.UnionID(ctx, openid); err != nil {
		return provider.Identity{}, mapError(err)
	}
	return by, nil
}

// once returns the answer to an event. Of any number of nodes that receive it, one runs
// handle; the others wait for its answer, "" if there is none in time.
func (e *events) once(ctx context.Context, n provider.Notification, event client.Event, handle func() string) (string, error) {
	name := "wechat:event:" + e.id + ":" + digest(event.OpenID, fmt.Sprint(event.Created), event.Name, event.Key)
	tick := time.NewTicker(answerTick)
	defer tick.Stop()
	for {
		saved, err := e.store.Load(ctx, name)
		if err != nil || saved != nil {
			return string(saved), err
		}
		first, err := e.store.SetNX(ctx, name, claimLife)
		if err == nil && first {
			err = e.requireFreshSignature(ctx, n, name)
		}
		if err != nil {
			return "", err
		}
		if first {
			text := handle()
			return text, e.store.Save(context.WithoutCancel(ctx), name, []byte(text), answerLife)
		}
		select {
		case <-ctx.Done():
			return "", nil
		case <-tick.C:
		}
	}
}

// requireFreshSignature refuses a signature that another event had. The signature of a
// plain event covers only time and nonce: somebody who has seen one could send more events
// with it.
func (e *events) requireFreshSignature(ctx context.Context, n provider.Notification, event string) error {
	if e.safe {
		return nil
	}
	name := "wechat:nonce:" + e.id + ":" + digest(n.Query.Get("timestamp"), n.Query.Get("nonce"))
	fresh, err := e.store.SetNX(ctx, name, answerLife)
	if err != nil {
		return err
	}
	if fresh {
		return e.store.Save(ctx, name, []byte(event), answerLife)
	}
	of, err := e.store.Load(ctx, name)
	if err == nil && string(of) != event {
		err = fmt.Errorf("%w: its signature was used for another event", provider.ErrEventInvalid)
	}
	return err
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// promptText returns the message that the user gets.
func promptText(p provider.Prompt) string {
	if p.Link == "" {
		if text, known := refusals[p.Refusal]; known {
			return text
		}
		return "暂时无法登录，请稍后刷新网页上的二维码，再扫一次。"
	}
	who := p.Client
	if p.Host != "" {
		who += "（" + p.Host + "）"
	}
	who = strings.NewReplacer("<", "", ">", "").Replace(who)
	return "你正在登录 " + who + "。\n\n<a href=\"" + p.Link + "\">点这里核对并确认</a>\n\n如果不是你本人在登录，请不要点。"
}

// refusals are the messages to a user who cannot decide, by error code.
var refusals = map[string]string{
	"ticket_expired":      "二维码已过期，请刷新网页，再扫新的二维码。",
	"ticket_not_found":    "二维码已失效，请刷新网页，再扫新的二维码。",
	"ticket_closed":       "这个二维码已经用过，请刷新网页，再扫新的二维码。",
	"already_scanned":     "别人已经扫了这个二维码，请刷新网页，再扫新的二维码。",
	"login_disabled":      "扫码登录已暂停，请用其他方式登录。",
	"user_blocked":        "你的微信号暂时不能用来登录，请用其他方式登录。",
	"identity_incomplete": "微信没有提供这个网站需要的用户标识，请联系网站管理员。",
	"rate_limited":        "操作太频繁，请过一会儿再扫。",
}
