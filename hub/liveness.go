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
	at           time.Time // the last full proof
	everComplete bool      // there has been one
	stalled      bool

	now, before   probeRound
	missedIgnored bool // what was missed has been asked for: a subscription was new

	resubscribe     context.CancelFunc // ends the subscription; a new one follows
	lastResubscribe time.Time
	lastError       error

	probeNow chan struct{} // of one: a proof is due now
}

// probeRound is one proof, which every master publishes.
type probeRound struct {
	nonce    string
	want     int          // how many masters must be heard; 0: not known yet, or not all could publish
	got      map[int]bool // those heard
	complete bool         // that all were
}

func (r *probeRound) full() bool {
	for i := range r.want {
		if !r.got[i] {
			return false
		}
	}
	return r.want > 0
}

func (p *liveness) begin(nonce string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.now = p.now, probeRound{nonce: nonce, got: map[int]bool{}}
}

// received notes a proof that has arrived. Those of earlier rounds prove nothing now:
// they say how it was.
func (p *liveness) received(nonce string, master int) (missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch nonce {
	case p.now.nonce:
		p.now.got[master] = true
		return p.check()
	case p.before.nonce: // late
		p.before.got[master] = true
	}
	return false
}

// expect notes how many masters have published, or why not all did.
func (p *liveness) expect(nonce string, masters int, err error) (missed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError = err
	if err == nil && nonce == p.now.nonce {
		p.now.want = masters
		return p.check()
	}
	return false
}

// check notes that a round is full. A mailbox keeps its order: where the round before
// is not full by then, missed is true, for what came beside its proofs may have been
// lost too, though the link never broke (a Cluster's masters pass messages on over
// links of their own).
func (p *liveness) check() (missed bool) {
	if p.now.complete || !p.now.full() {
		return false
	}
	missed = p.everComplete && !p.missedIgnored && !p.before.full()
	p.at, p.everComplete, p.missedIgnored, p.now.complete = time.Now(), true, false, true
	return missed
}

// ignoreMissed is called when a subscription has come to stand: proofs that were sent
// before are not missed.
func (p *liveness) ignoreMissed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missedIgnored = true
}
