package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"

	"loginhub/hub/provider/app/assertion"
	"loginhub/wechat"
)

// invalidCode is sent to WeChat instead of a user's code. WeChat checks the
// application's id and secret before it refuses the code.
const invalidCode = "loginhub-check-is-no-code"

// checkProviders checks the providers of the deployment and those of clients.
func (e *checker) checkProviders(ctx context.Context) {
	if e.set.sandbox() {
		e.add(severityWarn, "provider", "the sandbox is on: anyone can log in as anyone; set LOGINHUB_WECHAT_APP_ID for production")
		return
	}
	sets := map[string]credentials{"": e.set.credentials()}
	for id, own := range e.set.clientCredentials {
		sets[id] = own
	}
	var ids []string
	for id := range sets {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	seen := map[any]bool{}
	first := func(a any) bool { was := seen[a]; seen[a] = true; return !was }
	for _, id := range ids {
		c := sets[id]
		if c.miniProgram.id != "" && first(c.miniProgram) {
			e.checkMiniProgram(ctx, c.miniProgram, c.qr == "wxacode")
		}
		if c.web.id != "" && first(websiteKey{c.web}) {
			e.checkWebsite(ctx, c.web)
		}
		if c.jwksURL != "" && first(c.jwksURL) {
			e.checkAppKeys(ctx, c.jwksURL)
		}
	}
}

// wechatHint says what to do about an error of WeChat.
func wechatHint(err error) string {
	var e *wechat.Error
	if errors.As(err, &e) && e.Kind == wechat.KindConfig {
		return "compare AppID and AppSecret with WeChat's console, and put this machine's address on its list (IP白名单)"
	}
	return "check that WeChat is reachable from this machine (firewall, LOGINHUB_WECHAT_API_URL)"
}

// checkMiniProgram checks a mini-program's secret, with an invalid code, and its
// access token, for which this machine's address must be on WeChat's allow-list.
func (e *checker) checkMiniProgram(ctx context.Context, a wechatApp, codes bool) {
	what := "wechat " + a.id
	config := wechat.Config{AppID: a.id, Secret: a.secret, BaseURL: e.set.WechatAPIURL}
	program, err := wechat.NewMiniProgram(config)
	if err != nil {
		e.add(severityFail, what, "%v", err)
		return
	}
	defer program.Close()
	_, err = program.Session(ctx, invalidCode)
	if !e.addResult(what, errUnlessCodeRefused(err), "WeChat accepts AppID and AppSecret (jscode2session)", wechatHint(err)) {
		return
	}
	life, err := wechat.AccessToken(ctx, config)
	switch {
	case err == nil:
		e.add(severityOK, what, "access token, good for %v", life)
	case codes:
		e.add(severityFail, what, "access token: %v; %s; without it there are no mini-program codes (LOGINHUB_QR=wxacode)", err, wechatHint(err))
	default:
		e.add(severityWarn, what, "access token: %v; logins do not need it, LOGINHUB_QR=wxacode would; %s", err, wechatHint(err))
	}
}

// checkWebsite checks a website application's secret in the same way.
func (e *checker) checkWebsite(ctx context.Context, a wechatApp) {
	what := "wechat web " + a.id
	site, err := wechat.NewWebsite(wechat.Config{AppID: a.id, Secret: a.secret, BaseURL: e.set.WechatAPIURL}, e.set.WechatOpenURL)
	if err != nil {
		e.add(severityFail, what, "%v", err)
		return
	}
	defer site.Close()
	_, err = site.Login(ctx, invalidCode)
	e.addResult(what, errUnlessCodeRefused(err), "WeChat accepts AppID and AppSecret; whether the callback domain is that of "+e.set.publicOrigin+", only its console shows", wechatHint(err))
}

// errUnlessCodeRefused returns nil if WeChat refuses only the code.
func errUnlessCodeRefused(err error) error {
	var e *wechat.Error
	if errors.As(err, &e) && e.Kind == wechat.KindCode {
		return nil
	}
	if err == nil {
		return errors.New("WeChat accepted an invalid code; check LOGINHUB_WECHAT_API_URL")
	}
	return err
}

// checkAppKeys fetches the own app's keys, as a node does at the first login.
func (e *checker) checkAppKeys(ctx context.Context, url string) {
	const hint = "LOGINHUB_APP_JWKS_URL must give the back end's public keys to this machine"
	var usable int
	err := fetch(ctx, url, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, r.Status)
		}
		text, err := io.ReadAll(io.LimitReader(r.Body, assertion.MaxJWKSBytes))
		if err != nil {
			return err
		}
		keys, err := assertion.ParseJWKS(text)
		usable = len(keys)
		return err
	})
	if err == nil && usable == 0 {
		err = errors.New("no usable key in the set; it needs EC P-256, Ed25519, or RSA of 2048 bits or more, for signatures")
	}
	e.addResult("app keys", err, fmt.Sprintf("%d at %s", usable, url), hint)
}
