package api

import (
	"context"

	"loginhub/hub/ticket"
)

// Credential is what a phone, or the browser that returns from WeChat, sends to
// prove who its user is.
type Credential struct {
	Code   string    // one-time; 1 to 4,096 bytes, any content
	Ticket ticket.ID // the ticket to confirm, for a code that is bound to it
}

// Provider turns a one-time code into an identity.
//
// Exchange is called at most once per code, and only if the state of the ticket
// permits success. Its errors wrap ticket.ErrCodeInvalid, ErrUserBlocked,
// ErrProviderMisconfigured or ErrProviderUnavailable. They are inside a
// ticket.RetryError if the time of the next try is known. They contain neither
// the code nor credentials.
//
// A Provider must be comparable, for example a pointer: its concurrent calls
// are counted by it.
//
// A new provider is one file beside the others in cmd/loginhub: a type with
// this method, whose identity names the provider, and a line in providers().
//
// WeCom (企业微信): the code of wx.qy.login or of its web login is exchanged at
// /cgi-bin/auth/getuserinfo with the corp's access_token, which is shared like
// WeChat's. The Subject is the member's userid, the AppID is the corpid. An
// answer without userid (the user is not a member of the corp) is
// ErrIdentityIncomplete.
//
// Alipay: the code of my.getAuthCode is exchanged at alipay.system.oauth.token,
// signed with RSA2. The signature of the answer is checked over its raw bytes.
// The Subject is the open_id, the AppID is the app_id.
//
// For the form of the token's sub see ticket.Identity.Sub.
type Provider interface {
	Exchange(ctx context.Context, p Credential) (ticket.Identity, error)
}

// TicketBound is implemented by a Provider whose codes name the ticket that
// they confirm: a code that is refused for one ticket may be valid for another.
type TicketBound interface{ TicketBound() }

// called returns everything that makes calls of a provider.
func (r Reloadable) called() (all []any) {
	add := func(s LoginMethods) {
		for _, p := range s.Providers {
			all = append(all, p)
		}
		all = append(all, s.WebLogin, s.MiniProgramCodes)
	}
	add(LoginMethods{Providers: r.Providers, WebLogin: r.WebLogin, MiniProgramCodes: r.MiniProgramCodes})
	for _, s := range r.LoginMethods {
		add(s)
	}
	return all
}

// exchange calls a provider within its slots and cleans the identity. All
// provider calls go through it.
func (g *gate) exchange(ctx context.Context, cfg *activeConfig, p Provider, credential Credential) (by ticket.Identity, err error) {
	err = g.limits.Call(ctx, cfg.providerSlots[p], func(ctx context.Context) (err error) {
		by, err = p.Exchange(ctx, credential)
		return err
	})
	if err != nil {
		return by, err
	}
	return by.Clean()
}
