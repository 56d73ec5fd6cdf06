package gate

import (
	"context"
	"errors"

	"loginhub/api/geoip"
	"loginhub/api/notify"
	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// apply applies a call, whose change is reported if the client wants that.
func (a *Admission) apply(ctx context.Context, call *hub.Call, by provider.Identity, c *client.Client) error {
	about := a.about(c)
	about.By = by
	if report := a.gate.notifier.Report(about); report != nil {
		call.Report(report)
	}
	return call.Apply(ctx, by, c)
}

// about returns what the reports say of the call.
func (a *Admission) about(c *client.Client) notify.Call {
	about := notify.Call{Client: c, Provider: a.Provider, Notice: a.Notice && a.cfg.messages(c, a.Provider) != nil, Lang: a.Lang}
	if !a.SameBrowser {
		about.Phone = a.from.Display
	}
	return about
}

// reportSuspicious reports a call that should make the site suspicious, and that changed
// nothing for that. c is nil if the call did not come to the ticket's client.
func (a *Admission) reportSuspicious(ctx context.Context, call *hub.Call, by provider.Identity, c *client.Client, err error) {
	if c == nil || !a.gate.notifier.WantsEvents(c) {
		return
	}
	about, t, ctx := a.about(c), call.Current(), context.WithoutCancel(ctx)
	about.By = by
	report := func(reason string) { a.gate.notifier.Suspicious(ctx, about, t, reason) }
	switch {
	case errors.Is(err, ticket.ErrScanned):
		report(notify.AlreadyScanned)
	case errors.Is(err, ticket.ErrAddressMismatch):
		report(notify.AddressMismatch)
	case errors.Is(err, ticket.ErrFrameOld):
		report(notify.CodeStale)
	}
	if err != nil || a.Action != ticket.Scan && t.Seq != 2 { // once: at the scan, or at a confirm without one
		return
	}
	if same := request.SameAddress(t.Address, about.Phone); c.WarnsMismatch() && same != nil && !*same {
		report(notify.AddressMismatch)
	}
	if places := a.gate.Places(); geoip.Far(places.Lookup(t.Address), places.Lookup(about.Phone)) {
		report(notify.FarAway)
	}
}
