package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"loginhub/api/notify"
	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/provider"
)

// NoticeTemplate returns the template of the message for which the phone that scans with a
// provider asks its user's permission; "" if the client sends none, or the provider cannot.
func (cfg *Config) NoticeTemplate(site *client.Client, providerID string) string {
	if cfg.messages(site, providerID) == nil {
		return ""
	}
	return site.LoginNotice.TemplateID
}

// messages returns what sends the messages to a client's users; nil: none are sent.
func (cfg *Config) messages(site *client.Client, providerID string) provider.Messages {
	if site == nil || site.LoginNotice == nil {
		return nil
	}
	if p := cfg.MethodsOf(site.ID).Find(providerID); p != nil {
		return p.Messages
	}
	return nil
}

// NoticeQueues returns the destinations of messages to users, by queue.
func (g *Gate) NoticeQueues() map[string]outbox.Destination {
	cfg, all := g.Current(), map[string]outbox.Destination{}
	for _, site := range cfg.Clients {
		for _, p := range cfg.MethodsOf(site.ID).Listed {
			if cfg.messages(site, p.ID) != nil {
				all[notify.NoticeQueue(p.ID)] = &g.notices
			}
		}
	}
	return all
}

// noticePauses are the pauses before the second and later attempts: two hours in all.
var noticePauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

// notices delivers messages to users by their provider (outbox.Destination).
type notices struct {
	gate *Gate

	mu     sync.Mutex
	failed map[string]bool // clients whose misconfiguration is logged, until a message arrives
}

// Pauses implements outbox.Destination.
func (n *notices) Pauses() []time.Duration { return noticePauses }

// Deliver implements outbox.Destination. What only the operator can mend is logged once and
// not tried again: the message would come too late.
func (n *notices) Deliver(ctx context.Context, m outbox.Message) error {
	notice, err := notify.ReadNotice(m)
	if err != nil {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, err)
	}
	cfg := n.gate.Current()
	to := cfg.messages(cfg.ClientByID[notice.Client], notice.Provider)
	if to == nil { // another node may have them
		return fmt.Errorf("client %s sends no messages by %s on this node", notice.Client, notice.Provider)
	}
	err = n.gate.CallProvider(ctx, cfg, Callee{notice.Provider, to, "message"}, func(ctx context.Context) error {
		return to.Send(ctx, notice.Message)
	})
	log := n.gate.Log.With("queue", notify.NoticeQueue(notice.Provider), "client", notice.Client)
	var retry *provider.RetryError
	switch {
	case err == nil:
		n.setFailed(notice.Client, false)
		return nil
	case errors.Is(err, provider.ErrMessageRefused):
		log.InfoContext(ctx, "no login notice: the user does not accept it", "message", m.ID, "error", err)
		return fmt.Errorf("%w: %w", outbox.ErrUnwanted, err)
	case errors.Is(err, provider.ErrProviderMisconfigured):
		if n.setFailed(notice.Client, true) {
			log.ErrorContext(ctx, "login notices are not sent; loginhub check shows whether the template and its fields are right. Logged once, until one is sent", "error", err)
		}
		return fmt.Errorf("%w: %w: %w", outbox.ErrLogged, outbox.ErrRefused, err)
	case errors.As(err, &retry):
		return &outbox.RetryError{After: retry.After, Err: err}
	}
	return err
}

// setFailed records whether a client's messages fail, and reports a change.
func (n *notices) setFailed(client string, failed bool) (changed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failed[client] == failed {
		return false
	}
	if n.failed == nil {
		n.failed = map[string]bool{}
	}
	n.failed[client] = failed
	return true
}
