package gate

import (
	"context"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/trace"
)

// ticketBound is implemented by a provider whose codes may name the ticket that
// they confirm: a code that is refused for one ticket may be valid for another.
type ticketBound interface{ TicketBound() bool }

// kindOf returns the name of the kind of a provider, which is its id if the
// provider does not tell.
func kindOf(id string, p provider.Exchanger) string {
	if k, ok := p.(interface{ KindName() string }); ok {
		return k.KindName()
	}
	return id
}

// called returns everything that makes calls of a provider.
func (r Reloadable) called() (all []any) {
	add := func(s LoginMethods) {
		for _, p := range s.Providers {
			all = append(all, p)
		}
		for _, p := range s.Listed {
			if p.Redirect != nil {
				all = append(all, p.Redirect)
			}
			if p.InApp != nil {
				all = append(all, p.InApp)
			}
			if p.Phone != nil {
				all = append(all, p.Phone)
			}
			if p.Messages != nil {
				all = append(all, p.Messages)
			}
			if p.Events != nil {
				all = append(all, p.Events, p.Pictures)
			}
		}
		all = append(all, s.Pictures)
	}
	add(LoginMethods{Providers: r.Providers, Pictures: r.Pictures, Listed: r.Listed})
	for _, s := range r.LoginMethods {
		add(s)
	}
	return all
}

// Callee is what a provider offers and the hub calls.
type Callee struct {
	Provider string // id; "" if it is not known
	Offer    any    // with slots of its own: a part of provider.Access
	Call     string // name of the call, for traces
}

// CallProvider calls a provider within its slots: one that hangs delays only its own logins.
// It records the call in the login's trace.
func (g *Gate) CallProvider(ctx context.Context, cfg *Config, to Callee, call func(context.Context) error) error {
	start := time.Now()
	err := g.Limits.Call(ctx, cfg.ProviderSlots[to.Offer], call)
	trace.Provider(ctx, to.Provider, to.Call, start, err != nil)
	return err
}

// exchange calls a provider within its slots and cleans the identity. All exchanges of
// codes go through it.
func (g *Gate) exchange(ctx context.Context, cfg *Config, id string, p provider.Exchanger, credential provider.Credential) (by provider.Identity, err error) {
	err = g.CallProvider(ctx, cfg, Callee{id, p, "exchange"}, func(ctx context.Context) (err error) {
		by, err = p.Exchange(ctx, credential)
		return err
	})
	if err != nil {
		return by, err
	}
	return by.Clean() // in every case, so that each record can be read again
}
