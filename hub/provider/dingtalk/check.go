package dingtalk

import (
	"context"
	"errors"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Check implements provider.Config. It fetches an access token of the application and
// exchanges an invalid code; if a company is configured, it looks for an unknown member.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	a, what := c.app(provider.Env{}), e.ID+" "+c.clientID
	defer a.client.Close()
	defer a.legacyClient.Close()
	const hint = "compare client_id and client_secret with DingTalk's console, grant Contact.User.Read and qyapi_get_member, and put this machine's address on its list (服务器出口IP)"
	if _, _, err := a.fetchToken(ctx); err != nil {
		return []provider.Finding{httpcall.Failed(what, err, "DingTalk", hint)}
	}
	if _, _, err := a.userToken(ctx, httpcall.InvalidCode); !errors.Is(err, provider.ErrCodeInvalid) {
		return []provider.Finding{httpcall.Failed(what, err, "DingTalk", hint)}
	}
	found := []provider.Finding{{Severity: provider.OK, Subject: what, Text: "DingTalk accepts client_id and client_secret; " +
		"whether " + e.PublicURL + "/api/connect/" + e.ID + "/callback is among its redirect URLs, only its console shows"}}
	if c.corpID == "" {
		return found
	}
	what += " members"
	if _, err := a.member(ctx, httpcall.InvalidCode); !errors.Is(err, provider.ErrUserBlocked) {
		return append(found, httpcall.Failed(what, err, "DingTalk", hint))
	}
	return append(found, provider.Finding{Severity: provider.OK, Subject: what, Text: "the application may ask who is a member of " + c.corpID})
}
