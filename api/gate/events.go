package gate

import (
	"context"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// PicturesOf returns what draws the QR codes of a client; nil: the hub draws them. "" is
// the deployment.
func (cfg *Config) PicturesOf(client string) provider.Pictures {
	if p := cfg.drawerOf(client); p != nil {
		return p.Pictures
	}
	return cfg.MethodsOf(client).Pictures
}

// drawerOf returns the provider that draws a client's codes: the configured one, or the
// one that learns of scans by events if no other phone can confirm; nil if the hub draws
// them.
func (cfg *Config) drawerOf(client string) *provider.Provider {
	methods, site := cfg.MethodsOf(client), cfg.ClientByID[client]
	allowed := func(id string) bool { return site == nil || site.AllowsProvider(id) }
	var only *provider.Provider
	for _, p := range methods.Listed {
		switch {
		case methods.Pictures != nil:
			if p.Pictures == methods.Pictures {
				return p
			}
		case !allowed(p.ID):
		case p.Code != nil || p.InApp != nil:
			return nil // the link of the hub's code leads to it
		case p.Events != nil && p.Pictures != nil && only == nil:
			only = p
		}
	}
	if !strings.HasPrefix(methods.QR, cfg.publicURL+"/s/") {
		return nil
	}
	return only
}

// EventProviders returns the providers that receive notifications: the one with that id, or
// all if id is "". Clients with credentials of their own have providers of the same id.
func (cfg *Config) EventProviders(id string) (all []*provider.Provider) {
	add := func(listed []*provider.Provider) {
		for _, p := range listed {
			if p.Events != nil && (id == "" || p.ID == id) && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	add(cfg.Listed)
	for _, methods := range cfg.LoginMethods {
		add(methods.Listed)
	}
	return all
}

// RunScan runs the scan of a user whom a provider's notification names. The caller's
// address is the provider's, so neither a limit nor a comparison applies to it.
func (g *Gate) RunScan(ctx context.Context, c echo.Context, p *provider.Provider, s provider.Scan) (_ *hub.Call, err error) {
	id, err := ticket.ParseID(s.Ticket)
	if err != nil {
		return nil, err
	}
	var by provider.Identity
	a := &Admission{gate: g, cfg: ConfigOf(c), PhoneCall: hub.PhoneCall{Action: ticket.Scan, Ticket: id, Provider: p.ID}}
	call, err := g.Hub.Begin(ctx, a.PhoneCall)
	var client *client.Client
	defer func() {
		call.End(by, a.end(err), err)
		a.reportSuspicious(ctx, call, by, client, err)
	}()
	if err != nil {
		return nil, err
	}
	t := call.Current()
	client, err = a.cfg.ClientOf(t)
	if err != nil {
		return nil, err
	}
	if own := a.cfg.MethodsOf(t.Client).Find(p.ID); own == nil || own.Events != p.Events || !client.AllowsProvider(p.ID) {
		return nil, ticket.ErrNotFound // the code is not of this account
	}
	if err = g.Hub.CheckEnabled(t.Client); err != nil {
		return nil, err
	}
	call.SetAddressRisk(ticket.NoRisk) // the phone's is not known yet
	if err = call.Precheck(); err != nil {
		return nil, err
	}
	if err = a.checkFrame(call, client); err != nil {
		return nil, err
	}
	if by, err = a.identify(ctx, p, s); err != nil {
		return nil, err
	}
	return call, a.apply(ctx, call, by, client)
}

// identify asks for the user of a scan, within the provider's slots, and counts the call of
// this user.
func (a *Admission) identify(ctx context.Context, p *provider.Provider, s provider.Scan) (by provider.Identity, err error) {
	err = a.gate.CallProvider(ctx, a.cfg, Callee{p.ID, p.Events, "user"}, func(ctx context.Context) (err error) {
		by, err = s.User(ctx)
		return err
	})
	if err != nil {
		return by, err
	}
	if by, err = by.Clean(); err != nil {
		return by, err
	}
	a.attempt, err = a.gate.Limits.Begin(by, false)
	return by, err
}
