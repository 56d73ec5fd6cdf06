package ticket

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestExhaustive visits every state that a ticket, two nodes, two phones, a page and a
// Redis with one replica can reach by the steps below. The rules are those of the
// transition table. Deadlines are not part of it: the ticket lives long enough.
//
// In every state:
//   - at most one phone got the answer "confirmed";
//   - if one did, the page gets that user's token once the faults have ended;
//   - a token that the page has is of the user who confirmed.
//
// A failover loses what the replica does not have. So these hold with a failover only if
// confirms wait for the replica (LOGINHUB_REDIS_WAIT); without, the search must find a
// violation. And the last two hold unless the page has seen an end or a confirm that the
// failover has undone.
//
// EXHAUSTIVE=1 allows more faults and calls.
func TestExhaustive(t *testing.T) {
	calls, breaks, crashes, long := [2]int8{2, 1}, int8(0), int8(0), os.Getenv("EXHAUSTIVE") != ""
	if long {
		calls, breaks, crashes = [2]int8{2, 2}, 1, 1
	}
	for _, c := range []struct {
		name   string
		faults faults
		lost   bool // a login can be lost
		states int  // hub/DESIGN.md has it
	}{
		{"lost messages, a broken socket, with EXHAUSTIVE a crash", faults{calls: calls, breaks: 1, crashes: crashes}, false, 211344},
		{"and a failover, confirms wait for the replica", faults{calls: calls, breaks: breaks, failovers: 1, wait: true}, false, 299756},
		{"and a failover, confirms do not wait", faults{calls: calls, breaks: breaks, failovers: 1}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := world{rec: rec{state: 'p', seq: 1}, page: page{node: -1}, faults: c.faults}
			if c.faults.failovers > 0 {
				start.copied = start.rec
			}
			states, violation := explore(start)
			t.Logf("%d states", states)
			if c.lost != (violation != "") {
				t.Errorf("after %d states: %q, wanted a violation: %t", states, violation, c.lost)
			}
			if violation == "" && !long && states != c.states {
				t.Errorf("%d states, expected %d: correct the number here and in hub/DESIGN.md", states, c.states)
			}
		})
	}
}

// faults are the faults that may still happen, and how many calls each phone makes.
type faults struct {
	breaks, crashes, failovers int8
	calls                      [2]int8
	wait                       bool // a confirm is answered only if the replica has it
}

// rec is a version of the ticket. state is the first letter of a State, user 0 for none.
type rec struct {
	state byte
	user  int8
	seq   int8
}

// phone is a user's phone, and its call on the node of its number.
type phone struct {
	calls     int8 // made
	action    Action
	read      rec  // the version that the call has read; zero: no call
	stored    bool // the call's change, or the version of a repeat, is in Redis
	confirmed bool // the phone got this answer
}

// node is what a node knows of the ticket.
type node struct {
	waits    bool // the page's socket is here
	latest   rec
	reading  rec // an attach or a sweep that Redis has answered and the node has not seen
	messages [3]rec
}

// page is the waiting page.
type page struct {
	node  int8 // its socket's; -1: none
	seq   int8
	token int8 // the user of the token that it has taken; 0: none
	acked bool
	ended bool // it has shown that the login was rejected
}

// world is one state of the search.
type world struct {
	rec, copied     rec // on the master, on its replica
	nodes, copiedTo [2]bool
	phones          [2]phone
	node            [2]node
	page            page
	faults          faults
}

// explore visits all states and returns their number, or the first violation.
func explore(start world) (states int, violation string) {
	seen := map[world]struct{}{start: {}}
	for todo := []world{start}; len(todo) > 0; {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if violation := w.check(); violation != "" {
			return len(seen), violation
		}
		w.each(func(next world) {
			if _, known := seen[next]; !known {
				seen[next] = struct{}{}
				todo = append(todo, next)
			}
		})
	}
	return len(seen), ""
}

func (w world) check() string {
	if token := w.page.token; token != 0 && !w.faults.wait && (token != w.rec.user || w.rec.state != 'c' && w.rec.state != 'd') {
		return fmt.Sprintf("the page has a token of a user who has not confirmed: %+v", w)
	}
	a, b := w.phones[0].confirmed, w.phones[1].confirmed
	if a && b {
		return fmt.Sprintf("two phones got the answer confirmed: %+v", w)
	}
	for user, p := range w.phones {
		if done := w.settle(); p.confirmed && done.page.token != int8(user+1) && !(w.faults.wait && (w.page.token != 0 || w.page.ended)) {
			return fmt.Sprintf("user %d was confirmed, and the page has the token of %d: %+v", user+1, done.page.token, w)
		}
	}
	return ""
}

// settle returns the world after the page has waited for as long as it needs, without
// further faults.
func (w world) settle() world {
	if w.page.node < 0 {
		w.page.node = 0
		w.node[0] = node{waits: true}
	}
	n := w.page.node
	w.attach(int(n))
	w.see(int(n), w.node[n].reading)
	return w
}

// each calls visit with every world that one step leads to.
func (w world) each(visit func(world)) {
	do := func(possible bool, step func(w *world)) {
		if possible {
			next := w
			step(&next)
			visit(next)
		}
	}
	for i, p := range w.phones {
		for _, a := range []Action{Scan, Confirm, Reject} {
			do(p.read == rec{} && p.calls < w.faults.calls[i], func(w *world) {
				w.phones[i] = phone{calls: p.calls + 1, action: a, read: w.rec, confirmed: p.confirmed}
			})
		}
		do(p.read != rec{} && !p.stored, func(w *world) { w.change(i) })
		// The phone gets the answer, or the connection breaks before.
		replicated := !w.faults.wait || w.faults.failovers == 0 || w.copied == w.rec
		do(p.stored && p.action == Confirm && replicated, func(w *world) { w.phones[i].read, w.phones[i].stored, w.phones[i].confirmed = rec{}, false, true })
		do(p.stored, func(w *world) { w.phones[i].read, w.phones[i].stored = rec{}, false })
	}
	for i, n := range w.node {
		do(n.waits && n.reading == rec{}, func(w *world) { w.attach(i) })
		do(n.reading != rec{}, func(w *world) { w.see(i, n.reading); w.node[i].reading = rec{} })
		for j, m := range n.messages {
			do(m != rec{}, func(w *world) { w.take(i, j); w.see(i, m) })
			do(m != rec{}, func(w *world) { w.take(i, j) }) // lost
		}
		do(w.page.node < 0, func(w *world) { w.page.node = int8(i); w.node[i].waits = true })
		do(w.faults.crashes > 0, func(w *world) {
			w.faults.crashes--
			w.node[i], w.phones[i].read, w.phones[i].stored = node{}, rec{}, false
			if w.page.node == int8(i) {
				w.page.node = -1
			}
		})
	}
	do(w.page.node >= 0 && w.faults.breaks > 0, func(w *world) {
		w.faults.breaks--
		w.node[w.page.node], w.page.node = node{messages: w.node[w.page.node].messages}, -1
	})
	do(w.page.token != 0 && !w.page.acked, func(w *world) {
		w.page.acked = true
		if w.rec.state == 'c' && w.rec.seq == w.page.seq {
			w.rec = rec{'d', w.rec.user, w.rec.seq + 1}
		}
	})
	do(w.faults.failovers > 0 && (w.copied != w.rec || w.copiedTo != w.nodes), func(w *world) { w.copied, w.copiedTo = w.rec, w.nodes })
	do(w.faults.failovers > 0, func(w *world) {
		w.faults.failovers--
		w.rec, w.nodes = w.copied, w.copiedTo
		w.copied, w.copiedTo = rec{}, [2]bool{}
		for i := range w.phones {
			if w.faults.wait && w.phones[i].stored { // the call waits for the replica of the master that is gone
				w.phones[i].read, w.phones[i].stored = rec{}, false
			}
		}
	})
}

// change is the change of a phone's call: it succeeds if the version that the call has read
// is still stored, and reads again otherwise.
func (w *world) change(i int) {
	p := &w.phones[i]
	rules := transitions[stateOf[p.read.state]][p.action]
	rule := rules.other
	if p.read.user == int8(i+1) {
		rule = rules.same
	}
	switch {
	case rule.err != nil:
		p.read = rec{}
	case rule.next == "":
		p.stored = w.rec == p.read || !w.faults.wait // a confirm that waits for the replica writes again
		if !p.stored {
			p.read = w.rec
		}
	case w.rec != p.read:
		p.read = w.rec
	default:
		w.rec = rec{rule.next[0], int8(i + 1), p.read.seq + 1}
		p.read, p.stored = w.rec, true
		for n := range w.nodes {
			if w.nodes[n] {
				w.send(n, w.rec)
			}
		}
	}
}

// stateOf is the state of each letter. Consumed is d, for done.
var stateOf = map[byte]State{'p': Pending, 's': Scanned, 'c': Confirmed, 'd': Consumed, 'r': Rejected}

// send puts a message in transit. Of more than three the first is lost, which any message may be.
func (w *world) send(n int, m rec) {
	all := append(slices.DeleteFunc(slices.Clone(w.node[n].messages[:]), func(m rec) bool { return m == rec{} }), m)
	w.node[n].messages = [3]rec{}
	copy(w.node[n].messages[:], all[max(0, len(all)-3):])
}

// take removes a message from transit.
func (w *world) take(n, at int) {
	left := slices.Delete(slices.Clone(w.node[n].messages[:]), at, at+1)
	w.node[n].messages = [3]rec(append(left, rec{}))
}

// attach is the script: it records the node and returns the version.
func (w *world) attach(n int) {
	w.nodes[n], w.node[n].reading = true, w.rec
}

// see applies a version that a node has read or received, and sends the view to the page
// (registry.apply and registry.supersedes, and the page's rules).
func (w *world) see(n int, r rec) {
	at := &w.node[n]
	if !at.waits || r.seq < at.latest.seq || r.seq == at.latest.seq && (at.latest.state == 'c' || at.latest.state == 'd' || at.latest.state == 'r') && r != at.latest {
		return
	}
	at.latest = r
	if p := &w.page; p.node == int8(n) && r.seq >= p.seq {
		if r.state == 'c' && p.token == 0 { // it takes one token, and no second one
			p.token = r.user
		}
		p.seq, p.ended = r.seq, p.ended || r.state == 'r'
	}
}
