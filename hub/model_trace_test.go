package hub_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/ticket"
)

// op is what happens in a step. A step that does not fit any more (a call that
// is not on its way, a node that is dead) does nothing, so that steps can be left
// out.
type op int

const (
	passes       op = iota // some time
	connects               // a page, by socket
	polls                  // a page, by long poll
	disconnects            // a page's line breaks
	abandons               // a page leaves its line, and the node does not notice
	losesAck               // a page's next ack is lost, if it leaves before the faults end
	scans                  // a user
	confirms               // a user
	rejects                // a user
	completes              // a call reaches Redis and is answered
	executes               // a call reaches Redis; the answer is on its way
	replies                // a held answer arrives
	fails                  // a call never reaches Redis, or a held answer is lost
	losesReply             // a call reaches Redis, and the answer is lost
	delivers               // a message arrives
	duplicates             // a message arrives and will arrive again
	drops                  // a message is lost
	dropsNodes             // Redis loses the notes of a ticket
	rollsBack              // Redis loses a ticket's last change, as far as it was not promised
	unsubscribes           // a node's subscription ends
	mutes                  // a node's subscription stands and delivers nothing
	partitions             // a node cannot reach Redis
	reconnects             // it can again
	crashes                // a node dies
	drains                 // a node is stopped
	restarts               // a new node comes in a dead one's place
)

var opNames = []string{"passes", "connects", "polls", "cuts", "wanders", "mishears", "scans", "confirms", "rejects",
	"serves", "holds", "answers", "loses", "swallows", "delivers", "doubles", "drops",
	"forgets", "falls", "breaks", "mutes", "parts", "joins", "dies", "drains", "restarts"}

// step is one thing that happens.
type step struct {
	op            op
	browser, node int
	label         string // a user, or the label of a call or message
	number        int    // in the walk that drew it
}

func (s step) String() string {
	switch {
	case s.op == passes:
		return "time passes"
	case s.op <= polls:
		return fmt.Sprintf("page t%d %s to node %d", s.browser, opNames[s.op], s.node)
	case s.op <= losesAck:
		return fmt.Sprintf("page t%d %s", s.browser, opNames[s.op])
	case s.op <= rejects:
		return fmt.Sprintf("%s %s t%d on node %d", s.label, opNames[s.op], s.browser, s.node)
	case s.op <= drops:
		return fmt.Sprintf("net %s %q", opNames[s.op], s.label)
	case s.op == dropsNodes:
		return fmt.Sprintf("Redis forgets who waits for t%d", s.browser)
	case s.op == rollsBack:
		return fmt.Sprintf("Redis falls back with t%d", s.browser)
	}
	return fmt.Sprintf("node %d %s", s.node, opNames[s.op])
}

// quantum is the time that passes at once; no timer of the hub falls on it.
const quantum = 470 * time.Millisecond

// apply makes a step.
func (w *modelState) apply(s step) {
	p, n := w.browsers[s.browser%len(w.browsers)], w.nodeAt(s.node)
	alive := !n.dead()
	switch s.op {
	case passes:
		time.Sleep(quantum) // the bubble's clock
	case connects, polls:
		if p.endState() == "" {
			p.connect(n, s.op == polls)
		}
	case disconnects, abandons:
		p.leave(s.op == disconnects)
	case losesAck:
		p.setDropAck(false)
	case scans, confirms, rejects:
		if alive {
			w.wg.Go(func() { w.phone(n, p.id, s.label, ticket.Action(s.op-scans)) })
		}
	case completes:
		w.net.resolve(s.label, false, true, true, nil)
	case executes:
		w.net.resolve(s.label, false, true, false, nil)
	case replies:
		w.net.resolve(s.label, true, false, true, nil)
	case fails:
		if !w.net.resolve(s.label, false, false, true, ticket.ErrStoreUnavailable) {
			w.net.resolve(s.label, true, false, true, ticket.ErrStoreUnavailable)
		}
	case losesReply:
		w.net.resolve(s.label, false, true, true, ticket.ErrStoreUnavailable)
	case delivers, duplicates, drops:
		w.net.deliver(s.label, s.op != drops, s.op == duplicates)
	case dropsNodes:
		w.net.dropNodes(p.id)
	case rollsBack:
		w.rollBack(p.id)
	case unsubscribes:
		w.net.unsubscribe(n.name, nil)
	case mutes:
		w.net.mute(n.name)
	case partitions, reconnects:
		n.setCutOff(s.op == partitions)
	case crashes:
		n.kill()
	case drains:
		if alive && !w.isDraining() {
			w.wg.Go(func() { n.stop(1500 * time.Millisecond) })
		}
	case restarts:
		w.restart(s.node)
	}
	synctest.Wait()
}

// randomStep is a random step that fits now. quiet walks lose no message of a link
// that stands: then everything has to be noticed soon.
func (w *modelState) randomStep(rng *rand.Rand, quiet bool) step {
	calls, held, mail := w.net.pending()
	if n := len(calls) + len(held) + len(mail); n > 0 && rng.IntN(100) < 65 {
		one, roll := rng.IntN(n), rng.IntN(20)
		switch {
		case one < len(calls):
			how := []op{completes, completes, completes, completes, completes, completes, completes, completes, completes, completes, completes, completes, executes, executes, executes, executes, losesReply, losesReply, fails, fails}
			return step{op: how[roll], label: calls[one]}
		case one < len(calls)+len(held):
			how := replies
			if roll < 2 {
				how = fails
			}
			return step{op: how, label: held[one-len(calls)]}
		}
		how := delivers
		switch {
		case roll < 3:
			how = duplicates
		case roll < 7 && !quiet:
			how = drops
		}
		return step{op: how, label: mail[one-len(calls)-len(held)]}
	}
	often := []op{passes, passes, passes, connects, connects, connects, connects, polls, polls, disconnects, abandons, losesAck,
		scans, scans, scans, confirms, confirms, confirms, confirms, confirms, confirms, rejects,
		dropsNodes, rollsBack, rollsBack, rollsBack, rollsBack, unsubscribes, unsubscribes, unsubscribes, mutes, mutes, partitions, reconnects, reconnects, crashes, drains, restarts, restarts}
	if quiet {
		often = slices.DeleteFunc(often, func(v op) bool { return v == dropsNodes || v == rollsBack || v == losesAck })
	}
	s := step{op: often[rng.IntN(len(often))], browser: rng.IntN(len(w.browsers)), node: rng.IntN(len(w.nodes))}
	if s.op >= scans && s.op <= rejects {
		s.label = []string{"alice", "alice", "alice", "mallory"}[rng.IntN(4)]
	}
	return s
}

// maxPasses keeps the deadline of a new ticket out of the faults.
const maxPasses = 24

// modelRun is how a walk is made.
type modelRun struct {
	keys        nodeKeys
	seed        uint64
	mutation    mutation
	nodes       int
	tickets     int
	confirmLate bool // a ticket that is still open when all is well again is confirmed then
}

// random makes the walk of the seed and gives the steps that it took.
func (r modelRun) random(t *testing.T, tally *modelStats) (steps []step, err error) {
	rng := rand.New(rand.NewPCG(r.seed, 1))
	length, quiet, passed := 10+rng.IntN(50), rng.IntN(2) == 0, 0
	early := make([]step, 0, r.tickets) // half of the pages are there when it begins
	for page := range r.tickets {
		if rng.IntN(2) == 0 {
			early = append(early, step{op: connects + op(rng.IntN(2)), browser: page, node: rng.IntN(r.nodes)})
		}
	}
	err = r.runTrace(t, tally, func(w *modelState) {
		for len(steps) < length && w.failure() == nil {
			s := w.randomStep(rng, quiet)
			if len(steps) < len(early) {
				s = early[len(steps)]
			}
			if s.op == passes {
				if passed++; passed > maxPasses {
					break
				}
			}
			s.number = len(steps) + 1
			steps = append(steps, s)
			w.apply(s)
		}
	})
	return steps, err
}

// replay takes the given steps.
func (r modelRun) replay(t *testing.T, steps []step) error {
	return r.runTrace(t, nil, func(w *modelState) {
		for _, s := range steps {
			if w.apply(s); w.failure() != nil {
				return
			}
		}
	})
}

// runTrace makes a world in a bubble of its own, has the steps taken, ends the
// faults and judges.
func (r modelRun) runTrace(t *testing.T, tally *modelStats, take func(*modelState)) (err error) {
	synctest.Test(t, func(*testing.T) {
		w := newModelState(r.keys, r.nodes, r.tickets, r.mutation)
		synctest.Wait()
		take(w)
		if err = w.failure(); err == nil {
			err = w.check(rand.New(rand.NewPCG(r.seed, 2)), r.confirmLate)
		}
		tally.add(w)
		w.close()
	})
	return err
}

// close ends everything, so that the bubble can.
func (w *modelState) close() {
	w.cancel()
	for _, n := range w.nodes {
		n.kill()
	}
	w.net.finishAll(rand.New(rand.NewPCG(0, 3)))
	w.wg.Wait()
}

// shrink leaves out steps, in halves and at last one by one, as long as the walk
// still fails. The hub draws times of its own, which no seed holds: what is left
// must fail twice running.
func (r modelRun) shrink(t *testing.T, steps []step) []step {
	fails := func(steps []step) bool {
		first := r.replay(t, steps)
		return first != nil && r.replay(t, steps) != nil
	}
	for size := max(1, len(steps)/2); ; size = max(1, size/2) {
		before := len(steps)
		for i := 0; i < len(steps); {
			without := slices.Delete(slices.Clone(steps), i, min(i+size, len(steps)))
			if fails(without) {
				steps = without
			} else {
				i += size
			}
		}
		if size == 1 && len(steps) == before {
			return steps
		}
	}
}

func describe(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "\n\t%2d. %v", max(s.number, i+1), s)
	}
	return b.String()
}
