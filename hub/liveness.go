package hub

import (
	"context"
	"sync"
	"time"
)

// liveness is what the node knows of its own hearing. Its lock guards all fields but
// soon.
type liveness struct {
	mu           sync.Mutex
	lastComplete time.Time // the last full proof
	everComplete bool      // there has been one
	stalled      bool

	current, previous probeRound
	missedIgnored     bool // what was missed has been asked for: a subscription was new

	resubscribe     context.CancelFunc // ends the subscription; a new one follows
	lastResubscribe time.Time
	lastError       error

	probeNow chan struct{} // of one: a proof is due now
}

// probeRound is one proof, which every master publishes.
type probeRound struct {
	nonce    string
	masters  int          // how many masters must be heard; 0: not known yet, or not all could publish
	arrived  map[int]bool // those heard
	complete bool         // that all were
}

func (r *probeRound) allArrived() bool {
	for i := range r.masters {
		if !r.arrived[i] {
			return false
		}
	}
	return r.masters > 0
}

func (p *liveness) begin(nonce string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.previous, p.current = p.current, probeRound{nonce: nonce, arrived: map[int]bool{}}
}

// received notes a proof that has arrived. Those of earlier rounds prove nothing now:
// they say how it was.
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

// published notes how many masters have published, or why not all did.
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

// checkComplete notes that a round is full. A mailbox keeps its order: where the round before
// is not full by then, missed is true, for what came beside its proofs may have been
// lost too, though the link never broke (a Cluster's masters pass messages on over
// links of their own).
func (p *liveness) checkComplete() (missed bool) {
	if p.current.complete || !p.current.allArrived() {
		return false
	}
	missed = p.everComplete && !p.missedIgnored && !p.previous.allArrived()
	p.lastComplete, p.everComplete, p.missedIgnored, p.current.complete = time.Now(), true, false, true
	return missed
}

// ignoreMissed is called when a subscription has come to stand: proofs that were sent
// before are not missed.
func (p *liveness) ignoreMissed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missedIgnored = true
}
