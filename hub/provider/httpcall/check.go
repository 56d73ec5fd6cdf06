package httpcall

import (
	"errors"
	"fmt"

	"loginhub/hub/provider"
)

// InvalidCode is sent in a check instead of a user's code. Providers check the
// application's credentials before they refuse the code.
const InvalidCode = "loginhub-check-is-no-code"

// Failed returns the finding of a check that ended with err; nil means that the provider
// accepted InvalidCode. hint says what to do if the provider refuses our credentials.
func Failed(what string, err error, service, hint string) provider.Finding {
	text := service + " accepted an invalid code; check api_url"
	switch {
	case errors.Is(err, provider.ErrProviderMisconfigured):
		text = fmt.Sprintf("%v; %s", err, hint)
	case err != nil:
		text = fmt.Sprintf("%v; check that %s is reachable from this machine (firewall, api_url)", err, service)
	}
	return provider.Finding{Severity: provider.Fail, Subject: what, Text: text}
}
