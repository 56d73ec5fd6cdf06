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
	passes   op = iota // some time
	connects           // a page, by socket
	polls              // a page, by long poll
	cuts               // a page's line breaks
	wanders            // a page leaves its line, and the node does not notice
	mishears           // a page's next ack is lost, if it leaves before the faults end
	scans              // a user
	confirms           // a user
	rejects            // a user
	serves             // a call reaches Redis and is answered
	holds              // a call reaches Redis; the answer is on its way
	answers            // a held answer arrives
	loses              // a call never reaches Redis, or a held answer is lost
	swallows           // a call reaches Redis, and the answer is lost
	delivers           // a message arrives
	doubles            // a message arrives and will arrive again
	drops              // a message is lost
	forgets            // Redis loses the notes of a ticket
	falls              // Redis loses a ticket's last change, as far as it was not promised
	breaks             // a node's subscription ends
	mutes              // a node's subscription stands and delivers nothing
	parts              // a node cannot reach Redis
	joins              // it can again
	dies               // a node dies
	drains             // a node is stopped
	restarts           // a new node comes in a dead one's place
)

var verbNames = []string{"passes", "connects", "polls", "cuts", "wanders", "mishears", "scans", "confirms", "rejects",
	"serves", "holds", "answers", "loses", "swallows", "delivers", "doubles", "drops",
	"forgets", "falls", "breaks", "mutes", "parts", "joins", "dies", "drains", "restarts"}

// step is one thing that happens.
type step struct {
	verb       op
	page, node int
	what       string // a user, or the label of a call or message
	number     int    // in the walk that drew it
}

func (s step) String() string {
	switch {
	case s.verb == passes:
		return "time passes"
	case s.verb <= polls:
		return fmt.Sprintf("page t%d %s to node %d", s.page, verbNames[s.verb], s.node)
	case s.verb <= mishears:
		return fmt.Sprintf("page t%d %s", s.page, verbNames[s.verb])
	case s.verb <= rejects:
		return fmt.Sprintf("%s %s t%d on node %d", s.what, verbNames[s.verb], s.page, s.node)
	case s.verb <= drops:
		return fmt.Sprintf("net %s %q", verbNames[s.verb], s.what)
	case s.verb == forgets:
		return fmt.Sprintf("Redis forgets who waits for t%d", s.page)
	case s.verb == falls:
		return fmt.Sprintf("Redis falls back with t%d", s.page)
	}
	return fmt.Sprintf("node %d %s", s.node, verbNames[s.verb])
}

// quantum is the time that passes at once; no timer of the hub falls on it.
const quantum = 470 * time.Millisecond

// take makes a step.
func (w *modelState) take(s step) {
	p, n := w.pages[s.page%len(w.pages)], w.at(s.node)
	alive := !n.dead()
	switch s.verb {
	case passes:
		time.Sleep(quantum) // the bubble's clock
	case connects, polls:
		if p.over() == "" {
			p.connect(n, s.verb == polls)
		}
	case cuts, wanders:
		p.leave(s.verb == cuts)
	case mishears:
		p.hears(false)
	case scans, confirms, rejects:
		if alive {
			w.work.Go(func() { w.phone(n, p.id, s.what, ticket.Action(s.verb-scans)) })
		}
	case serves:
		w.net.resolve(s.what, false, true, true, nil)
	case holds:
		w.net.resolve(s.what, false, true, false, nil)
	case answers:
		w.net.resolve(s.what, true, false, true, nil)
	case loses:
		if !w.net.resolve(s.what, false, false, true, ticket.ErrStoreUnavailable) {
			w.net.resolve(s.what, true, false, true, ticket.ErrStoreUnavailable)
		}
	case swallows:
		w.net.resolve(s.what, false, true, true, ticket.ErrStoreUnavailable)
	case delivers, doubles, drops:
		w.net.deliver(s.what, s.verb != drops, s.verb == doubles)
	case forgets:
		w.net.forget(p.id)
	case falls:
		w.fall(p.id)
	case breaks:
		w.net.unsubscribe(n.name, nil)
	case mutes:
		w.net.mute(n.name)
	case parts, joins:
		n.cutOff(s.verb == parts)
	case dies:
		n.end()
	case drains:
		if alive && !w.drained() {
			w.work.Go(func() { n.stop(1500 * time.Millisecond) })
		}
	case restarts:
		w.restart(s.node)
	}
	synctest.Wait()
}

// draw is a random step that fits now. quiet walks lose no message of a link
// that stands: then everything has to be noticed soon.
func (w *modelState) draw(rng *rand.Rand, quiet bool) step {
	calls, held, mail := w.net.waiting()
	if n := len(calls) + len(held) + len(mail); n > 0 && rng.IntN(100) < 65 {
		one, roll := rng.IntN(n), rng.IntN(20)
		switch {
		case one < len(calls):
			how := []op{serves, serves, serves, serves, serves, serves, serves, serves, serves, serves, serves, serves, holds, holds, holds, holds, swallows, swallows, loses, loses}
			return step{verb: how[roll], what: calls[one]}
		case one < len(calls)+len(held):
			how := answers
			if roll < 2 {
				how = loses
			}
			return step{verb: how, what: held[one-len(calls)]}
		}
		how := delivers
		switch {
		case roll < 3:
			how = doubles
		case roll < 7 && !quiet:
			how = drops
		}
		return step{verb: how, what: mail[one-len(calls)-len(held)]}
	}
	often := []op{passes, passes, passes, connects, connects, connects, connects, polls, polls, cuts, wanders, mishears,
		scans, scans, scans, confirms, confirms, confirms, confirms, confirms, confirms, rejects,
		forgets, falls, falls, falls, falls, breaks, breaks, breaks, mutes, mutes, parts, joins, joins, dies, drains, restarts, restarts}
	if quiet {
		often = slices.DeleteFunc(often, func(v op) bool { return v == forgets || v == falls || v == mishears })
	}
	s := step{verb: often[rng.IntN(len(often))], page: rng.IntN(len(w.pages)), node: rng.IntN(len(w.nodes))}
	if s.verb >= scans && s.verb <= rejects {
		s.what = []string{"alice", "alice", "alice", "mallory"}[rng.IntN(4)]
	}
	return s
}

// maxPassed keeps the deadline of a new ticket out of the faults.
const maxPassed = 24

// modelRun is how a walk is made.
type modelRun struct {
	keys    nodeKeys
	seed    uint64
	bent    mutation
	nodes   int
	tickets int
	late    bool // a ticket that is still open when all is well again is confirmed then
}

// random makes the walk of the seed and gives the steps that it took.
func (r modelRun) random(t *testing.T, tally *modelTally) (steps []step, err error) {
	rng := rand.New(rand.NewPCG(r.seed, 1))
	length, quiet, passed := 10+rng.IntN(50), rng.IntN(2) == 0, 0
	early := make([]step, 0, r.tickets) // half of the pages are there when it begins
	for page := range r.tickets {
		if rng.IntN(2) == 0 {
			early = append(early, step{verb: connects + op(rng.IntN(2)), page: page, node: rng.IntN(r.nodes)})
		}
	}
	err = r.runTrace(t, tally, func(w *modelState) {
		for len(steps) < length && w.blamed() == nil {
			s := w.draw(rng, quiet)
			if len(steps) < len(early) {
				s = early[len(steps)]
			}
			if s.verb == passes {
				if passed++; passed > maxPassed {
					break
				}
			}
			s.number = len(steps) + 1
			steps = append(steps, s)
			w.take(s)
		}
	})
	return steps, err
}

// replay takes the given steps.
func (r modelRun) replay(t *testing.T, steps []step) error {
	return r.runTrace(t, nil, func(w *modelState) {
		for _, s := range steps {
			if w.take(s); w.blamed() != nil {
				return
			}
		}
	})
}

// runTrace makes a world in a bubble of its own, has the steps taken, ends the
// faults and judges.
func (r modelRun) runTrace(t *testing.T, tally *modelTally, take func(*modelState)) (err error) {
	synctest.Test(t, func(*testing.T) {
		w := newModelWorld(r.keys, r.nodes, r.tickets, r.bent)
		synctest.Wait()
		take(w)
		if err = w.blamed(); err == nil {
			err = w.check(rand.New(rand.NewPCG(r.seed, 2)), r.late)
		}
		tally.add(w)
		w.close()
	})
	return err
}

// close ends everything, so that the bubble can.
func (w *modelState) close() {
	w.over()
	for _, n := range w.nodes {
		n.end()
	}
	w.net.settle(rand.New(rand.NewPCG(0, 3)))
	w.work.Wait()
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
