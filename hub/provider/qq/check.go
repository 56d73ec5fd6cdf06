package qq

import (
	"context"
	"errors"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Check implements provider.Config. It exchanges an invalid code.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	a, what := c.app(provider.Env{}), e.ID+" "+c.appID
	defer a.client.Close()
	back := e.PublicURL + "/api/connect/" + e.ID + "/callback"
	_, err := a.Exchange(ctx, provider.Credential{Code: httpcall.InvalidCode, Visit: provider.Visit{Callback: back}})
	if errors.Is(err, provider.ErrCodeInvalid) {
		return []provider.Finding{{Severity: provider.OK, Subject: what, Text: "QQ accepts APP ID and APP Key; whether " + back + " is the application's callback, only its console shows"}}
	}
	return []provider.Finding{httpcall.Failed(what, err, "QQ", "compare app_id and app_key with connect.qq.com, and the callback (网站回调域) with "+back)}
}
