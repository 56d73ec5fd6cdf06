package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync"
	"time"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
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

// mailbox subscribes to the node's pub/sub channel and probes it.
type mailbox struct {
	channel   Mailbox
	node      string
	liveness  *liveness
	records   *records
	waiters   *registry
	metrics   Metrics
	log       *slog.Logger
	releasing sync.WaitGroup // of the waiters of a stalled node
}

// listen keeps the node subscribed to its mailbox until ctx ends.
func (m *mailbox) listen(ctx context.Context) {
	for ctx.Err() == nil {
		one, cancel := context.WithCancel(ctx)
		m.liveness.mu.Lock()
		m.liveness.resubscribe = cancel
		m.liveness.mu.Unlock()
		err := m.channel.Listen(one, m.node, m.subscribed, m.receive)
		cancel()
		if err != nil {
			m.log.Warn("mailbox subscription lost, resubscribing", "error", err)
			sleepCtx(ctx, 100*time.Millisecond+randomPart(200*time.Millisecond))
		}
	}
}

// subscribed is called for each new subscription. It resyncs, because messages may have
// been published before. A probe may be among them, so it also sends another one.
func (m *mailbox) subscribed() {
	m.liveness.ignoreMissed()
	m.resync(ResyncSubscribed)
	select {
	case m.liveness.probeNow <- struct{}{}:
	default:
	}
}

// resync schedules a read of all waiting tickets now.
func (m *mailbox) resync(cause string) {
	m.metrics.Resync(cause)
	m.waiters.scheduleSoon(nil, 0)
}

// receive handles the messages of the mailbox, in order. It does not block: the waiters
// that it wakes write in their own goroutines.
func (m *mailbox) receive(message []byte) {
	if nonce, master, ok := ticket.DecodeProbe(message); ok {
		if m.liveness.received(nonce, master) {
			m.resync(ResyncMissed)
		}
		return
	}
	id, sealed, ok := ticket.DecodeUpdate(message)
	if !ok {
		return
	}
	arrived := time.Now()
	t, err := m.records.open(context.Background(), id, sealed, InMessage) // logs a broken seal
	if errors.Is(err, ticket.ErrUnknownKey) {
		// Read the record from Redis. If it has an unknown key too, the waiters are
		// released, so that they connect to a node that has the key.
		m.waiters.scheduleSoon([]ticket.ID{id}, 0)
	}
	if err != nil {
		return
	}
	if _, newer := m.waiters.applyFrom(trace.Received, t, m.records.store.Now()); newer {
		m.records.tracer.Receive(t, arrived)
	}
}

// probe sends a liveness probe every second, and one for each new subscription.
func (m *mailbox) probe(ctx context.Context) {
	for ctx.Err() == nil {
		var raw [9]byte
		rand.Read(raw[:])
		nonce := base64.RawURLEncoding.EncodeToString(raw[:])
		start := time.Now()
		m.liveness.begin(nonce)
		masters, err := m.channel.Probe(ctx, m.node, nonce)
		if m.liveness.published(nonce, masters, err) {
			m.resync(ResyncMissed)
		}
		due := time.NewTimer(probeInterval - time.Since(start))
		select {
		case <-ctx.Done():
		case <-due.C:
		case <-m.liveness.probeNow:
		}
		due.Stop()
	}
}

// checkLiveness ends a silent subscription, and marks the node as stalled or recovered.
func (m *mailbox) checkLiveness(ctx context.Context) {
	p := m.liveness
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
		m.log.Error("this node is stalled: liveness probes do not arrive through Redis; releasing its waiters",
			"silent_for", age.Round(time.Millisecond), "error", p.lastError)
		m.releasing.Go(func() { m.waiters.releaseGradually(ctx, stalled, stalledDrain, m.liveness.isStalled) })
	case age < resubscribeAfter && p.stalled:
		p.stalled = false
		m.log.Info("this node has recovered: liveness probes arrive again")
		m.resync(ResyncRecovered)
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
