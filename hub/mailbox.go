package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"loginhub/hub/ticket"
)

// The liveness probe of the mailbox: a pub/sub connection can be up and deliver
// nothing, and no client library detects that.
const (
	probeInterval    = time.Second
	resubscribeAfter = 2 * time.Second // then the node subscribes anew
	stalledAfter     = 5 * time.Second // then it lets its pages go
	stalledDrain     = 3 * time.Second // over how long
	livenessInterval = 250 * time.Millisecond
)

// isStalled reports whether the node has let its pages go because it hears nothing.
func (h *Hub) isStalled() bool {
	h.liveness.mu.Lock()
	defer h.liveness.mu.Unlock()
	return h.liveness.stalled
}

// LastProbeAge is how long ago the mailbox was last proven; of a node that has never
// been, since it was made.
func (h *Hub) LastProbeAge() time.Duration {
	h.liveness.mu.Lock()
	defer h.liveness.mu.Unlock()
	return time.Since(h.liveness.lastComplete)
}

// Why a node is not ready.
var (
	errDraining = fmt.Errorf("this node is draining: %w", ticket.ErrOverloaded)
	errNoProbe  = fmt.Errorf("no liveness probe has arrived yet: %w", ticket.ErrStoreUnavailable)
	errStalled  = fmt.Errorf("liveness probes do not arrive: %w", ticket.ErrStoreUnavailable)
	errNoSwitch = fmt.Errorf("the kill switch was not read yet: %w", ticket.ErrStoreUnavailable)
)

// Ready is nil if this node may be sent pages: Redis and mailbox probed, the kill
// switch read, the audit not stalled if it is required, and not draining.
func (h *Hub) Ready() error {
	h.liveness.mu.Lock()
	defer h.liveness.mu.Unlock()
	switch {
	case h.draining.Load():
		return errDraining
	case !h.liveness.everComplete:
		return errNoProbe
	case h.liveness.stalled:
		return errStalled
	case h.KillSwitches != nil && !h.switches.loaded():
		return errNoSwitch
	case h.auditStalled():
		return ErrAuditStalled
	}
	return nil
}

// errNotChecked is the readiness of a node that was not checked yet.
var errNotChecked = errors.New("unknown")

// logReadiness logs that the node has become ready, or is no longer, and gives the
// state for the next call. Draining has a line of its own.
func (h *Hub) logReadiness(was error) (now error) {
	now = h.Ready()
	switch {
	case now == was || now == errDraining:
	case now == nil:
		h.Log.Info("ready", "node", h.node)
	default:
		h.Log.Warn("not ready", "node", h.node, "reason", now)
	}
	return now
}

// listen keeps a subscription to the mailbox.
func (h *Hub) listen(ctx context.Context) {
	for ctx.Err() == nil {
		one, cancel := context.WithCancel(ctx)
		h.liveness.mu.Lock()
		h.liveness.resubscribe = cancel
		h.liveness.mu.Unlock()
		err := h.Mailbox.Listen(one, h.node, h.subscribed, h.receive)
		cancel()
		if err != nil {
			h.Log.Warn("mailbox link broken, subscribing anew", "error", err)
			sleepCtx(ctx, 100*time.Millisecond+randomPart(200*time.Millisecond))
		}
	}
}

// subscribed is called each time that a subscription stands. What was published
// while nobody listened, Redis tells; and a proof sent before it may be among
// that, so another one is due.
func (h *Hub) subscribed() {
	h.liveness.ignoreMissed()
	h.resync(ResyncSubscribed)
	select {
	case h.liveness.probeNow <- struct{}{}:
	default:
	}
}

// resync has all waiting tickets looked at soon.
func (h *Hub) resync(cause string) {
	h.Metrics.Resync(cause)
	h.waiters.scheduleSoon(nil, 0)
}

// receive is called with every message, in order. It does not block: what it
// wakes writes elsewhere.
func (h *Hub) receive(m []byte) {
	if nonce, master, ok := ticket.DecodeProbe(m); ok {
		if h.liveness.received(nonce, master) {
			h.resync(ResyncMissed)
		}
		return
	}
	id, sealed, ok := ticket.DecodeUpdate(m)
	if !ok || !h.waiters.waits(id) {
		return
	}
	t, err := h.open(id, sealed, InMessage) // a broken seal is logged there
	if errors.Is(err, ticket.ErrUnknownKey) {
		// Redis has the truth: its pages go to a node that can read it, if it is so.
		h.waiters.scheduleSoon([]ticket.ID{id}, 0)
	}
	if err != nil {
		return
	}
	h.waiters.apply(t, h.Store.Now())
}

// probe sends a proof every second, and whenever a subscription has come to stand.
func (h *Hub) probe(ctx context.Context) {
	for ctx.Err() == nil {
		var raw [9]byte
		rand.Read(raw[:])
		nonce := base64.RawURLEncoding.EncodeToString(raw[:])
		start := time.Now()
		h.liveness.begin(nonce)
		masters, err := h.Mailbox.Probe(ctx, h.node, nonce)
		if h.liveness.published(nonce, masters, err) {
			h.resync(ResyncMissed)
		}
		due := time.NewTimer(probeInterval - time.Since(start))
		select {
		case <-ctx.Done():
		case <-due.C:
		case <-h.liveness.probeNow:
		}
		due.Stop()
	}
}

// monitorLiveness acts on a mailbox that is silent.
func (h *Hub) monitorLiveness(ctx context.Context) {
	for ready := errNotChecked; ctx.Err() == nil; {
		sleepCtx(ctx, livenessInterval)
		h.checkLiveness(ctx)
		ready = h.logReadiness(ready)
	}
}

func (h *Hub) checkLiveness(ctx context.Context) {
	p := &h.liveness
	p.mu.Lock()
	defer p.mu.Unlock()
	age := time.Since(p.lastComplete)
	if age >= resubscribeAfter && time.Since(p.lastResubscribe) >= resubscribeAfter && p.resubscribe != nil {
		p.lastResubscribe = time.Now()
		p.resubscribe()
	}
	switch {
	case age >= stalledAfter && !p.stalled:
		p.stalled = true
		h.Log.Error("this node is deaf: Redis does not take or deliver its mailbox's proof; letting its pages go",
			"silent_for", age.Round(time.Millisecond), "error", p.lastError)
		h.wg.Go(func() { h.releaseGradually(ctx, stalled, stalledDrain, h.isStalled) })
	case age < resubscribeAfter && p.stalled:
		p.stalled = false
		h.Log.Info("this node hears again")
		h.resync(ResyncRecovered)
	}
}

// sleepCtx sleeps, or returns when ctx ends.
func sleepCtx(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
