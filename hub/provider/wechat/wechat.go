// Package wechat makes providers of WeChat's clients in package loginhub/wechat: the
// mini-program, the website login, and the official account with its QR codes and with
// its pages inside WeChat.
package wechat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// tokenForm is of the mini-program and the website. They share one prefix: the account belongs to the user,
// whichever way they log in. The appid keeps openids apart.
func tokenForm(amr string) provider.TokenForm {
	return provider.TokenForm{AMR: amr, Prefix: "wechat", UnionPrefix: "wechat:unionid", OpenID: true}
}

// application is a mini-program or a website application.
type application struct{ id, secret, apiURL string }

var appID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// consoleHint says where an operator finds a value.
const consoleHint = "as WeChat's console shows it"

func readApplication(f *provider.Fields) application {
	a := application{id: f.Text("app_id", consoleHint)}
	if a.id != "" && !appID.MatchString(a.id) {
		f.Fail("app_id", errors.New("1 to 64 letters, digits, dashes and underscores, "+consoleHint))
	}
	a.secret, a.apiURL = f.Secret("app_secret"), f.Optional("api_url", "")
	return a
}

// client returns the configuration of WeChat's client.
func (a application) client(e provider.Env) client.Config {
	c := client.Config{AppID: a.id, Secret: a.secret, BaseURL: a.apiURL}
	if e.Calls != nil {
		c.Observe = func(ctx context.Context, op string, took time.Duration, err error) {
			e.Calls.Observe(ctx, op, result(err), took)
		}
	}
	return c
}

// mapError maps an error of WeChat to an error of a provider.
func mapError(err error) error {
	var e *client.Error
	if !errors.As(err, &e) {
		return err
	}
	meaning := provider.ErrProviderUnavailable
	switch e.Kind {
	case client.KindCode:
		meaning = provider.ErrCodeInvalid
	case client.KindBlocked:
		meaning = provider.ErrUserBlocked
	case client.KindRefused:
		meaning = provider.ErrMessageRefused
	case client.KindGuest:
		meaning = provider.ErrGuest
	case client.KindConfig:
		meaning = provider.ErrProviderMisconfigured
	}
	err = fmt.Errorf("%w: %w", meaning, err)
	if meaning == provider.ErrProviderUnavailable && e.RetryAfter > 0 {
		return &provider.RetryError{After: e.RetryAfter, Err: err}
	}
	return err
}

// commonErrcodes returns the errcodes that wechat/README.md names. An uncommon one gets
// its series with its first event, which a rate misses.
func commonErrcodes() []int {
	return []int{-1, 40029, 40163, 42003, 40226, 45011, 45009, 44993, 40001, 40013, 40125, 40164, 40243,
		40014, 42001, 41030, 48001}
}

// warnProfile logs that a profile could not be read.
func (a application) warnProfile(e provider.Env) func(error) {
	return func(err error) {
		e.Log.Warn("a login has no nickname, because its profile could not be read", "app_id", a.id, "error", err)
	}
}

// startCalls creates the series of these calls.
func startCalls(e provider.Env, ops ...string) {
	if e.Calls == nil {
		return
	}
	for _, op := range ops {
		results := []provider.CallResult{result(nil), {Code: "other", Reaction: client.KindBusy.String()}}
		for _, code := range provider.NetworkCodes() {
			results = append(results, provider.CallResult{Code: code, Reaction: client.KindBusy.String()})
		}
		for _, code := range commonErrcodes() {
			results = append(results, result(&client.Error{Code: code, Kind: client.KindOf(op, code)}))
		}
		e.Calls.Start(op, results)
	}
}

// result returns the result of a call: "ok", a known errcode, "other", or one of
// provider.NetworkCodes without a valid response of WeChat.
func result(err error) provider.CallResult {
	var e *client.Error
	switch {
	case err == nil:
		return provider.CallResult{Code: "ok", Reaction: "ok"}
	case !errors.As(err, &e) || e.Code == 0:
		return provider.CallResult{Code: provider.NetworkCode(err), Reaction: client.KindBusy.String()}
	case client.Known(e.Code):
		return provider.CallResult{Code: strconv.Itoa(e.Code), Reaction: e.Kind.String()}
	}
	return provider.CallResult{Code: "other", Reaction: e.Kind.String()}
}

// Format prints the AppID for every verb, so that no verb prints the secret.
func (a application) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.id) }
