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

// Times of the liveness probe. A pub/sub connection can be up and deliver nothing, and
// no client library detects that.
const (
	probeInterval    = time.Second
	resubscribeAfter = 2 * time.Second // without a probe: subscribe again
	stalledAfter     = 5 * time.Second // without a probe: the node is stalled
	stalledDrain     = 3 * time.Second // the waiters of a stalled node are released over this time
	livenessInterval = 250 * time.Millisecond
)

// isStalled reports whether liveness probes have not arrived for stalledAfter.
func (h *Hub) isStalled() bool {
	h.liveness.mu.Lock()
	defer h.liveness.mu.Unlock()
	return h.liveness.stalled
}

// LastProbeAge returns the time since probes last arrived from all masters, or since
// New if they never did.
func (h *Hub) LastProbeAge() time.Duration {
	h.liveness.mu.Lock()
	defer h.liveness.mu.Unlock()
	return time.Since(h.liveness.lastComplete)
}

// Reasons why a node is not ready.
var (
	errDraining = fmt.Errorf("this node is draining: %w", ticket.ErrOverloaded)
	errNoProbe  = fmt.Errorf("no liveness probe has arrived yet: %w", ticket.ErrStoreUnavailable)
	errStalled  = fmt.Errorf("liveness probes do not arrive: %w", ticket.ErrStoreUnavailable)
	errNoSwitch = fmt.Errorf("the kill switch was not read yet: %w", ticket.ErrStoreUnavailable)
)

// Ready returns nil if a load balancer may send browsers to this node. Probes arrive,
// the kill switch was read, a required audit is not stalled, and the node does not
// drain.
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

// errNotChecked is the readiness before the first check.
var errNotChecked = errors.New("unknown")

// logReadiness logs a change of the readiness and returns it for the next call. It does
// not log draining, which has a log line of its own.
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

// listen keeps the node subscribed to its mailbox until ctx ends.
func (h *Hub) listen(ctx context.Context) {
	for ctx.Err() == nil {
		one, cancel := context.WithCancel(ctx)
		h.liveness.mu.Lock()
		h.liveness.resubscribe = cancel
		h.liveness.mu.Unlock()
		err := h.Mailbox.Listen(one, h.node, h.subscribed, h.receive)
		cancel()
		if err != nil {
			h.Log.Warn("mailbox subscription lost, resubscribing", "error", err)
			sleepCtx(ctx, 100*time.Millisecond+randomPart(200*time.Millisecond))
		}
	}
}

// subscribed is called for each new subscription. It resyncs, because messages may have
// been published before. A probe may be among them, so it also sends another one.
func (h *Hub) subscribed() {
	h.liveness.ignoreMissed()
	h.resync(ResyncSubscribed)
	select {
	case h.liveness.probeNow <- struct{}{}:
	default:
	}
}

// resync schedules a read of all waiting tickets now.
func (h *Hub) resync(cause string) {
	h.Metrics.Resync(cause)
	h.waiters.scheduleSoon(nil, 0)
}

// receive handles the messages of the mailbox, in order. It does not block: the waiters
// that it wakes write in their own goroutines.
func (h *Hub) receive(m []byte) {
	if nonce, master, ok := ticket.DecodeProbe(m); ok {
		if h.liveness.received(nonce, master) {
			h.resync(ResyncMissed)
		}
		return
	}
	id, sealed, ok := ticket.DecodeUpdate(m)
	if !ok {
		return
	}
	t, err := h.open(id, sealed, InMessage) // logs a broken seal
	if errors.Is(err, ticket.ErrUnknownKey) {
		// Read the record from Redis. If it has an unknown key too, the waiters are
		// released, so that they connect to a node that has the key.
		h.waiters.scheduleSoon([]ticket.ID{id}, 0)
	}
	if err != nil {
		return
	}
	h.waiters.apply(t, h.Store.Now())
}

// probe sends a liveness probe every second, and one for each new subscription.
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

// monitorLiveness checks the liveness probes until ctx ends.
func (h *Hub) monitorLiveness(ctx context.Context) {
	for ready := errNotChecked; ctx.Err() == nil; {
		sleepCtx(ctx, livenessInterval)
		h.checkLiveness(ctx)
		ready = h.logReadiness(ready)
	}
}

// checkLiveness ends a silent subscription, and marks the node as stalled or recovered.
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
		h.Log.Error("this node is stalled: liveness probes do not arrive through Redis; releasing its waiters",
			"silent_for", age.Round(time.Millisecond), "error", p.lastError)
		h.conns.wg.Go(func() { h.releaseGradually(ctx, stalled, stalledDrain, h.isStalled) })
	case age < resubscribeAfter && p.stalled:
		p.stalled = false
		h.Log.Info("this node has recovered: liveness probes arrive again")
		h.resync(ResyncRecovered)
	}
}

// sleepCtx sleeps for d or until ctx ends.
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
