package wechat

import (
	"context"
	"errors"
	"fmt"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// invalidCode is sent to WeChat instead of a user's code. WeChat checks the
// application's id and secret before it refuses the code.
const invalidCode = "loginhub-check-is-no-code"

// hint says what to do about an error of WeChat.
func hint(err error) string {
	var e *client.Error
	if errors.As(err, &e) && e.Kind == client.KindConfig {
		return "compare AppID and AppSecret with WeChat's console, and put this machine's address on its list (IP白名单)"
	}
	return "check that WeChat is reachable from this machine (firewall, LOGINHUB_WECHAT_API_URL)"
}

// errUnlessCodeRefused returns nil if WeChat refuses only the code.
func errUnlessCodeRefused(err error) error {
	var e *client.Error
	if errors.As(err, &e) && e.Kind == client.KindCode {
		return nil
	}
	if err == nil {
		return errors.New("WeChat accepted an invalid code; check LOGINHUB_WECHAT_API_URL")
	}
	return err
}

// Check implements provider.Config. It tries the secret, with an invalid code, and the
// access token, for which this machine's address must be on WeChat's allow-list.
func (c miniProgram) Check(ctx context.Context, e provider.Env) []provider.Finding {
	what := e.ID + " " + c.id
	program, err := client.NewMiniProgram(c.client(e))
	if err != nil {
		return []provider.Finding{{Severity: provider.Fail, Subject: what, Text: err.Error()}}
	}
	defer program.Close()
	if _, err = program.Session(ctx, invalidCode); errUnlessCodeRefused(err) != nil {
		return []provider.Finding{failed(what, errUnlessCodeRefused(err))}
	}
	found := []provider.Finding{{Severity: provider.OK, Subject: what, Text: "WeChat accepts AppID and AppSecret (jscode2session)"}}
	life, err := client.AccessToken(ctx, c.client(e))
	switch {
	case err == nil:
		found = append(found, provider.Finding{Severity: provider.OK, Subject: what, Text: fmt.Sprintf("access token, good for %v", life)})
		return append(found, c.checkTemplates(ctx, e)...)
	case len(e.Templates) > 0:
		return append(found, provider.Finding{Severity: provider.Fail, Subject: what,
			Text: fmt.Sprintf("access token: %v; %s; without it there are no messages (login_notice)", err, hint(err))})
	case e.Pictures:
		return append(found, provider.Finding{Severity: provider.Fail, Subject: what,
			Text: fmt.Sprintf("access token: %v; %s; without it there are no mini-program codes (LOGINHUB_QR=wxacode)", err, hint(err))})
	}
	return append(found, provider.Finding{Severity: provider.Warn, Subject: what,
		Text: fmt.Sprintf("access token: %v; logins do not need it, LOGINHUB_QR=wxacode would; %s", err, hint(err))})
}

// Check implements provider.Config. It tries the secret with an invalid code.
func (c website) Check(ctx context.Context, e provider.Env) []provider.Finding {
	site, err := client.NewWebsite(c.client(e), c.openURL)
	return checkLogin(ctx, e, c.id, site, err, "授权回调域")
}

// checkLogin tries the secret of a login at WeChat's page with an invalid code. setting is
// the console's name of the callback domain; err is that of the site's creation.
func checkLogin(ctx context.Context, e provider.Env, appID string, site *client.Website, err error, setting string) []provider.Finding {
	what := e.ID + " " + appID
	if err != nil {
		return []provider.Finding{{Severity: provider.Fail, Subject: what, Text: err.Error()}}
	}
	defer site.Close()
	_, err = site.Login(ctx, invalidCode)
	if err = errUnlessCodeRefused(err); err != nil {
		return []provider.Finding{failed(what, err)}
	}
	return []provider.Finding{{Severity: provider.OK, Subject: what,
		Text: "WeChat accepts AppID and AppSecret; whether the callback domain (" + setting + ") is that of " + e.PublicURL + ", only its console shows"}}
}

func failed(what string, err error) provider.Finding {
	return provider.Finding{Severity: provider.Fail, Subject: what, Text: err.Error() + "; " + hint(err)}
}
