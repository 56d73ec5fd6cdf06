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

// op is the kind of a step. A step that does not apply (to a call that is not in transit
// or a dead node) does nothing, so that steps can be removed from a trace.
type op int

const (
	passes       op = iota // time passes
	connects               // a browser, by socket
	polls                  // a browser, by long poll
	disconnects            // a browser's connection breaks
	abandons               // a browser leaves its connection, and the node does not notice
	losesAck               // a browser's next ack is lost, if it is sent during the faults
	scans                  // a user
	confirms               // a user
	rejects                // a user
	completes              // a call reaches Redis and is answered
	executes               // a call reaches Redis; the reply is in transit
	replies                // a reply arrives
	fails                  // a call never reaches Redis, or its reply is lost
	losesReply             // a call reaches Redis, and its reply is lost
	delivers               // a message arrives
	duplicates             // a message arrives, and a copy stays in transit
	drops                  // a message is lost
	dropsNodes             // Redis loses the waiting nodes of a ticket
	rollsBack              // Redis loses a ticket's last change, if no phone was answered
	unsubscribes           // a node's subscription ends
	mutes                  // a node's subscription is active and delivers nothing
	partitions             // a node cannot reach Redis
	reconnects             // a node can reach Redis again
	crashes                // a node is killed
	drains                 // a node drains and stops
	restarts               // a new node replaces a dead one
)

var opNames = []string{"passes", "connects", "polls", "disconnects", "abandons its connection", "loses its next ack",
	"scans", "confirms", "rejects", "completes", "executes", "replies to", "fails", "loses the reply of",
	"delivers", "duplicates", "drops", "drops nodes", "rolls back", "loses its subscription", "is muted",
	"is cut off", "is reconnected", "crashes", "drains", "restarts"}

// step is one event of a trace.
type step struct {
	op            op
	browser, node int
	label         string // a user, or the label of a call or message
	number        int    // position in the random trace
}

func (s step) String() string {
	switch {
	case s.op == passes:
		return "time passes"
	case s.op <= polls:
		return fmt.Sprintf("browser t%d %s to node %d", s.browser, opNames[s.op], s.node)
	case s.op <= losesAck:
		return fmt.Sprintf("browser t%d %s", s.browser, opNames[s.op])
	case s.op <= rejects:
		return fmt.Sprintf("%s %s t%d on node %d", s.label, opNames[s.op], s.browser, s.node)
	case s.op <= drops:
		return fmt.Sprintf("net %s %q", opNames[s.op], s.label)
	case s.op == dropsNodes:
		return fmt.Sprintf("Redis loses the waiting nodes of t%d", s.browser)
	case s.op == rollsBack:
		return fmt.Sprintf("Redis loses the last change of t%d", s.browser)
	}
	return fmt.Sprintf("node %d %s", s.node, opNames[s.op])
}

// quantum is the duration of passes; no timer of the hub is a multiple of it.
const quantum = 470 * time.Millisecond

// apply runs a step. matched is false if the step names a call or message that is not in
// transit.
func (w *modelState) apply(s step) (matched bool) {
	matched = true
	p, n := w.browsers[s.browser%len(w.browsers)], w.nodeAt(s.node)
	alive := !n.dead()
	switch s.op {
	case passes:
		time.Sleep(quantum) // fake clock
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
		matched = w.net.resolve(s.label, false, true, true, nil)
	case executes:
		matched = w.net.resolve(s.label, false, true, false, nil)
	case replies:
		matched = w.net.resolve(s.label, true, false, true, nil)
	case fails:
		matched = w.net.resolve(s.label, false, false, true, ticket.ErrStoreUnavailable) ||
			w.net.resolve(s.label, true, false, true, ticket.ErrStoreUnavailable)
	case losesReply:
		matched = w.net.resolve(s.label, false, true, true, ticket.ErrStoreUnavailable)
	case delivers, duplicates, drops:
		matched = w.net.deliver(s.label, s.op != drops, s.op == duplicates)
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
	return matched
}

// randomStep returns a random step that applies now. quiet traces lose no message of an
// active subscription, so the node must notice every loss soon.
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

// maxPasses keeps the faults shorter than a new ticket's lifetime.
const maxPasses = 24

// modelRun configures a trace.
type modelRun struct {
	keys        nodeKeys
	seed        uint64
	mutation    mutation
	nodes       int
	tickets     int
	confirmLate bool       // confirm open tickets after the faults
	matched     func(step) // called by replay for each step that matched; nil: not called
}

// random runs the trace of the seed and returns its steps.
func (r modelRun) random(t *testing.T, tally *modelStats) (steps []step, err error) {
	rng := rand.New(rand.NewPCG(r.seed, 1))
	length, quiet, passed := 10+rng.IntN(50), rng.IntN(2) == 0, 0
	early := make([]step, 0, r.tickets) // about half of the browsers connect first
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

// replay runs the given steps.
func (r modelRun) replay(t *testing.T, steps []step) error {
	return r.runTrace(t, nil, func(w *modelState) {
		for _, s := range steps {
			if w.apply(s) && r.matched != nil {
				r.matched(s)
			}
			if w.failure() != nil {
				return
			}
		}
	})
}

// runTrace runs the steps on a new modelState under synctest, ends the faults and checks
// the result.
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

// close stops all goroutines, so that synctest can end.
func (w *modelState) close() {
	w.cancel()
	for _, n := range w.nodes {
		n.kill()
	}
	w.net.finishAll(rand.New(rand.NewPCG(0, 3)))
	w.wg.Wait()
}

// shrink removes steps, in halves and finally one by one, as long as the trace still
// fails. The hub's own random times do not depend on the seed, so the remaining steps
// must fail twice in a row.
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
