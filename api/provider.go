package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loginhub/hub/ticket"
)

// Credential is what a phone, or the browser that comes back from WeChat, brings.
type Credential struct {
	Code   string    // one-time; 1 to 4,096 bytes of anything
	Ticket ticket.ID // what it is meant to confirm, for a code that is bound to it
}

// Provider turns a one-time code into an identity.
//
// Exchange is called once per code at the most, and only where some user could
// get a 200. Its errors wrap ticket.ErrCodeInvalid, ErrUserBlocked,
// ErrProviderMisconfigured or ErrProviderUnavailable (within a
// ticket.RetryError where it is known when to try again) and hold neither code
// nor credentials.
//
// It is comparable, a pointer for instance: its calls under way are counted by it.
//
// A new provider is one file beside the others of cmd/loginhub: a type with this
// method, whose identity names the provider, and a line in providers(). WeCom
// (企业微信): the code of wx.qy.login or of its web login is asked at
// /cgi-bin/auth/getuserinfo with the corp's access_token, shared like WeChat's;
// a member's userid is the Subject, the corpid the AppID, and an answer without
// userid (a stranger to the corp) is ErrIdentityIncomplete. Alipay: my.getAuthCode's code
// goes to alipay.system.oauth.token, signed with RSA2, the answer's signature
// checked over its raw bytes; open_id is the Subject, the app_id the AppID. For
// the form of the token's sub see ticket.Identity.Sub.
type Provider interface {
	Exchange(ctx context.Context, p Credential) (ticket.Identity, error)
}

const (
	// maxProviderCalls bounds the calls under way on this node to each provider, and to
	// each mini-program for its codes: a slow one must neither pile up
	// goroutines nor take the places of the others.
	maxProviderCalls = 256
	// providerTimeout ends a call that its provider does not end itself.
	providerTimeout = 10 * time.Second
)

// slots are the calls under way, by the Provider, Website or Codes that is
// called. The map does not change once it is made.
type slots map[any]chan struct{}

// newSlots makes room for everybody who is called. Sites that share a provider
// share its places.
// Who was called before the reload keeps its places.
func newSlots(r Reloadable, former slots) slots {
	all := slots{}
	add := func(called any) {
		if called == nil || all[called] != nil {
			return
		}
		if all[called] = former[called]; all[called] == nil {
			all[called] = make(chan struct{}, maxProviderCalls)
		}
	}
	site := func(s LoginMethods) {
		for _, p := range s.Providers {
			add(p)
		}
		add(s.WebLogin)
		add(s.MiniProgramCodes)
	}
	site(LoginMethods{Providers: r.Providers, WebLogin: r.WebLogin, MiniProgramCodes: r.MiniProgramCodes})
	for _, s := range r.LoginMethods {
		site(s)
	}
	return all
}

// exchange is the one way to a provider.
func (s *Server) exchange(ctx context.Context, now *activeConfig, p Provider, proof Credential) (by ticket.Identity, err error) {
	err = s.withSlot(ctx, now.providerSlots[p], func(ctx context.Context) (err error) {
		by, err = p.Exchange(ctx, proof)
		return err
	})
	if err != nil {
		return by, err
	}
	return by.Clean()
}

// withSlot makes a call outwards within the node's limits; under has the places of
// who is called.
func (s *Server) withSlot(ctx context.Context, under chan struct{}, call func(context.Context) error) error {
	select {
	case under <- struct{}{}:
		defer func() { <-under }()
	default:
		s.countLimitHit(limitCalls)
		return fmt.Errorf("%d provider calls under way: %w", maxProviderCalls, ticket.ErrProviderUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	err := call(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ticket.ErrProviderUnavailable, err)
	}
	return err
}
