package wecom

import (
	"context"
	"errors"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Check implements provider.Config. It fetches an access token, and exchanges an invalid
// code with it, for which this machine's address must be on the application's list.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	a, what := c.app(provider.Env{}), e.ID+" "+c.name()
	defer a.client.Close()
	_, err := a.Exchange(ctx, provider.Credential{Code: httpcall.InvalidCode})
	if errors.Is(err, provider.ErrCodeInvalid) {
		return []provider.Finding{{Severity: provider.OK, Subject: what, Text: "WeCom accepts the company and the secret; " +
			"whether the trusted domain is that of " + e.PublicURL + ", port included, only its console shows"}}
	}
	return []provider.Finding{httpcall.Failed(what, err, "WeCom", "compare corp_id, agent_id and secret with WeCom's console, and put this machine's address on the application's list (企业可信IP)")}
}
