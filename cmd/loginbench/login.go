package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// login is one whole login: a page at one node, a phone at another.
type login struct {
	page     *page
	phone    *target
	provider string
	user     string
	wechat   fakeWeChat

	extra  string    // further members of a call, each after a comma
	sent   time.Time // before the first byte of the confirm
	pushed time.Time // the token frame was read
	got    view      // that view
}

// code returns a fresh one-time code of WeChat or the sandbox.
func (l *login) code() string {
	if l.wechat.Server != nil {
		return l.wechat.code(l.user)
	}
	return l.provider + ":" + l.user + ":" + strconv.FormatUint(rand.Uint64(), 36)
}

func (l *login) tell(ctx context.Context, what string) (time.Time, error) {
	status, answer, sent, err := l.phone.call(ctx, l.page.path(what), "",
		`{"provider":"`+l.provider+`","code":"`+l.code()+`"`+l.extra+`}`)
	if err == nil && status != 200 {
		err = fmt.Errorf("%s: %d %.200s", what, status, answer)
	}
	return sent, err
}

// prepare creates the ticket, attaches the page and scans.
func (l *login) prepare(ctx context.Context, at *target) (err error) {
	if l.page, err = newPage(ctx, at, "", "{}"); err != nil {
		return err
	}
	return l.scan(ctx)
}

// scan attaches the page and scans.
func (l *login) scan(ctx context.Context) (err error) {
	if _, err := l.page.attach(ctx); err != nil {
		return err
	}
	if _, err = l.tell(ctx, "scan"); err == nil {
		var v view
		v, err = l.page.await("scanned")
		l.page.MatchCode = cmp.Or(v.MatchCode, l.page.MatchCode)
	}
	if err != nil {
		l.page.drop()
	}
	return err
}

// confirm sends the confirm and waits for the token on the page. It sets sent,
// pushed and got.
func (l *login) confirm(ctx context.Context) error {
	heard := make(chan error, 1)
	go func() { // ends with the view, or with the page's deadline
		l.page.line.SetDeadline(time.Now().Add(callLimit))
		v, err := l.page.await("confirmed")
		l.pushed, l.got = v.at, v
		if err == nil && v.Token == "" && v.RedirectTo == "" && v.Code == "" {
			err = errNoDelivery
		}
		heard <- err
	}()
	sent, err := l.tell(ctx, "confirm")
	l.sent = sent
	if err != nil {
		l.page.drop()
	}
	if e := <-heard; err == nil {
		err = e
	}
	return err
}

// finish acknowledges the token and waits for the consumed view.
func (l *login) finish() error {
	defer l.page.drop()
	if err := l.page.ack(l.got.Seq); err != nil {
		return err
	}
	if _, err := l.page.await("consumed"); err != nil {
		return err
	}
	if _, _, err := l.page.message(); err != errOver {
		return fmt.Errorf("no good end: %w", err)
	}
	return nil
}

// newLogin returns login i, whose page waits on one node and whose phone calls the
// next.
func (s *cluster) newLogin(i int) (*login, *target) {
	n := len(s.nodes)
	return &login{phone: s.nodes[(i+1)%n].target, provider: s.provider, wechat: s.wechat, user: "user" + strconv.Itoa(i%1000)}, s.nodes[i%n].target
}

// whole runs one login from the ticket to the ack.
func (s *cluster) whole(ctx context.Context, i int) (*login, error) {
	l, at := s.newLogin(i)
	if err := l.prepare(ctx, at); err != nil {
		return l, err
	}
	if err := l.confirm(ctx); err != nil {
		l.page.drop()
		return l, err
	}
	return l, l.finish()
}
