package hub

import (
	"context"
	"sync"
	"time"
)

// liveness records which liveness probes have arrived in the node's mailbox. mu guards
// all fields except probeNow.
type liveness struct {
	mu           sync.Mutex
	lastComplete time.Time // when a probe last arrived from every master
	everComplete bool      // lastComplete is such a time, not the node's start
	stalled      bool

	current, previous probeRound
	missedIgnored     bool // after a new subscription, which resyncs anyway

	resubscribe     context.CancelFunc // ends the subscription; listen starts the next one
	lastResubscribe time.Time
	lastError       error

	probeNow chan struct{} // capacity 1: send a probe now
}

// probeRound is one probe, which every master publishes.
type probeRound struct {
	nonce    string
	masters  int          // from how many a probe must arrive; 0: not known yet, or publishing failed
	arrived  map[int]bool // by master
	complete bool         // a probe arrived from every master
}

func (r *probeRound) allArrived() bool {
	for i := range r.masters {
		if !r.arrived[i] {
			return false
		}
	}
	return r.masters > 0
}

func newLiveness() *liveness {
	return &liveness{lastComplete: time.Now(), probeNow: make(chan struct{}, 1)} // a new node is stalled after five seconds too
}

func (p *liveness) begin(nonce string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.previous, p.current = p.current, probeRound{nonce: nonce, arrived: map[int]bool{}}
}

// received records a probe that has arrived. A late probe of the previous round counts
// for that round only; it does not show that the mailbox works now.
func (p *liveness) received(nonce string, master int) (missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch nonce {
	case p.current.nonce:
		p.current.arrived[master] = true
		return p.checkComplete()
	case p.previous.nonce: // late
		p.previous.arrived[master] = true
	}
	return false
}

// published records how many masters published the probe, or why not all of them did.
func (p *liveness) published(nonce string, masters int, err error) (missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError = err
	if err == nil && nonce == p.current.nonce {
		p.current.masters = masters
		return p.checkComplete()
	}
	return false
}

// checkComplete records that the current round is complete. Messages arrive in order:
// if the previous round is still incomplete, missed is true, because messages beside
// its probes may be lost too. That can happen without a broken subscription: the
// masters of a Cluster forward messages over connections of their own. Called with mu
// held.
func (p *liveness) checkComplete() (missed bool) {
	if p.current.complete || !p.current.allArrived() {
		return false
	}
	missed = p.everComplete && !p.missedIgnored && !p.previous.allArrived()
	p.lastComplete, p.everComplete, p.missedIgnored, p.current.complete = time.Now(), true, false, true
	return missed
}

// ignoreMissed is called when a subscription becomes active: probes that were sent
// before it do not count as missed.
func (p *liveness) ignoreMissed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missedIgnored = true
}

// isStalled reports whether liveness probes have not arrived for stalledAfter.
func (p *liveness) isStalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stalled
}

// age returns the time since probes last arrived from all masters, or since New if they
// never did.
func (p *liveness) age() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.lastComplete)
}

// ready returns the reason why the node is not ready; nil: probes arrive.
func (p *liveness) ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.everComplete:
		return errNoProbe
	case p.stalled:
		return errStalled
	}
	return nil
}
