package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// modelRedis does in memory what the Lua scripts of package redisstore do
// (TestTheModelsStoreAnswersAsRedisDoes holds the two together). Not safe for
// concurrent use: the network's lock guards it.
type modelRedis struct {
	records map[ticket.ID]*modelRecord
	open    func(ticket.ID, []byte) (ticket.Ticket, error)
	publish func(node string, message []byte)
	evicted func(node string) // its note made room for a newer one
}

type modelRecord struct {
	sealed []byte
	nodes  []string
	forget time.Time
	all    []ticket.Ticket // every version that stood here, oldest first
}

func (r *modelRedis) now() time.Time { return time.UnixMilli(time.Now().UnixMilli()).UTC() }

// at is the record, where it has not been forgotten.
func (r *modelRedis) at(id ticket.ID) *modelRecord {
	if rec := r.records[id]; rec != nil && r.now().Before(rec.forget) {
		return rec
	}
	return nil
}

func (r *modelRedis) make(id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (made bool, err error) {
	if old := r.at(id); old != nil {
		if !bytes.Equal(old.sealed, sealed) {
			return false, fmt.Errorf("ticket id %s is taken", id.Short())
		}
		return true, nil
	}
	if off := deadline.Add(-life).Sub(r.now()); off.Abs() > time.Second {
		return false, nil
	}
	rec := &modelRecord{sealed: sealed, forget: deadline.Add(ticket.Tombstone)}
	r.records[id] = rec
	r.note(rec, id)
	return true, nil
}

// note remembers the version that stands there now.
func (r *modelRedis) note(rec *modelRecord, id ticket.ID) {
	t, err := r.open(id, rec.sealed)
	if err != nil {
		panic(err) // whoever changes a ticket here seals with the same ring
	}
	rec.all = append(rec.all, t)
}

func (r *modelRedis) attach(node string, id ticket.ID) ticket.Found {
	rec := r.at(id)
	if rec == nil {
		return ticket.Found{Now: r.now()}
	}
	if node != "" && !slices.Contains(rec.nodes, node) {
		rec.nodes = append(rec.nodes, node)
		if len(rec.nodes) > 4 {
			r.evicted(rec.nodes[0])
			rec.nodes = rec.nodes[1:]
		}
	}
	return ticket.Found{Sealed: rec.sealed, Now: r.now()}
}

func (r *modelRedis) change(c ticket.Change) ticket.Outcome {
	rec, now := r.at(c.ID), r.now()
	switch {
	case rec == nil:
		return ticket.Outcome{Found: ticket.Found{Now: now}}
	case bytes.Equal(rec.sealed, c.Sealed):
		rec.forget = c.Forget
		return ticket.Outcome{Done: true, Found: ticket.Found{Now: now}}
	case len(c.Was) == 0, !bytes.HasPrefix(rec.sealed, c.Was),
		now.Before(c.From), !c.Until.IsZero() && !now.Before(c.Until):
		return ticket.Outcome{Found: ticket.Found{Sealed: rec.sealed, Now: now}}
	}
	rec.sealed, rec.forget = c.Sealed, c.Forget
	r.note(rec, c.ID)
	for _, node := range rec.nodes {
		if node != c.Skip {
			r.publish(node, ticket.Mail(c.ID, c.Sealed))
		}
	}
	return ticket.Outcome{Done: true, Found: ticket.Found{Now: now}}
}

// modelNet is what lies between the nodes and Redis: a call or a message stays on
// its way until a step says what becomes of it, or until the net is calm.
type modelNet struct {
	mu     sync.Mutex // guards what follows
	redis  modelRedis
	calm   bool
	calls  []*modelCall
	mail   []*modelLetter
	links  map[string]*modelLink // the subscriptions that stand, by node
	silent bool                  // something was lost that nobody can notice
}

// modelCall is a node's call on its way.
type modelCall struct {
	label  string
	effect func()
	done   bool       // Redis has done it; the answer is on its way
	answer chan error // capacity 1
}

// modelLetter is a message on its way.
type modelLetter struct {
	label string
	text  []byte
	link  *modelLink
}

// modelLink is a subscription.
type modelLink struct {
	mail  chan []byte // buffered: a publish waits for nobody
	end   chan struct{}
	muted bool // it stands, and delivers nothing any more
}

func newModelNet(ring *ticket.Keyring) *modelNet {
	n := &modelNet{links: map[string]*modelLink{}}
	n.redis = modelRedis{records: map[ticket.ID]*modelRecord{}, open: ring.Open, publish: n.publish, evicted: func(node string) {
		n.silent = n.silent || n.links[node] != nil
	}}
	return n
}

// publish sends a message off; who is not subscribed never gets it.
func (n *modelNet) publish(node string, message []byte) {
	link := n.links[node]
	if link == nil || link.muted {
		return
	}
	if _, _, proof := ticket.ReadProof(message); proof || n.calm {
		link.mail <- message
		return
	}
	id, sealed, _ := ticket.ReadMail(message)
	t, err := n.redis.open(id, sealed)
	if err != nil {
		panic(err)
	}
	n.mail = append(n.mail, &modelLetter{label: fmt.Sprintf("mail %s %s #%d", node, modelName(id), t.Seq), text: message, link: link})
}

// callLimit is how long package redisstore waits for an answer.
const callLimit = 3 * time.Second

// call sends a call off and waits for its answer. away ends the wait early.
func (n *modelNet) call(ctx context.Context, label string, away <-chan struct{}, effect func()) error {
	c := &modelCall{label: label, effect: effect, answer: make(chan error, 1)}
	n.mu.Lock()
	if n.calm {
		defer n.mu.Unlock()
		effect()
		return nil
	}
	n.calls = append(n.calls, c)
	n.mu.Unlock()
	over := time.NewTimer(callLimit)
	defer over.Stop()
	select {
	case err := <-c.answer:
		return err
	case <-over.C: // it may still arrive at Redis
	case <-away:
	case <-ctx.Done():
	}
	return ticket.ErrStoreUnavailable
}

// waiting are the labels of all that is on its way, in a fixed order.
func (n *modelNet) waiting() (calls, answers, mail []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.calls {
		if c.done {
			answers = append(answers, c.label)
		} else {
			calls = append(calls, c.label)
		}
	}
	for _, m := range n.mail {
		mail = append(mail, m.label)
	}
	sort.Strings(calls)
	sort.Strings(answers)
	sort.Strings(mail)
	return calls, answers, mail
}

// fate decides over a call on its way: whether Redis does it now, whether it is
// answered, and with what. False where there is none of that label.
func (n *modelNet) fate(label string, done, effect, answer bool, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, c := range n.calls {
		if c.label != label || c.done != done {
			continue
		}
		if effect {
			c.effect()
			c.done = true
		}
		if answer {
			c.answer <- err
			n.calls = slices.Delete(n.calls, i, i+1)
		}
		return true
	}
	return false
}

// deliver decides over a message on its way: whether it arrives, and whether it
// stays on its way too.
func (n *modelNet) deliver(label string, arrives, stays bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, m := range n.mail {
		if m.label != label {
			continue
		}
		if arrives {
			m.link.mail <- m.text
		} else {
			n.silent = true
		}
		if !stays {
			n.mail = slices.Delete(n.mail, i, i+1)
		}
		return true
	}
	return false
}

// settle ends the faults: what is on its way arrives.
func (n *modelNet) settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calm = true
	for _, c := range n.calls {
		if !c.done {
			c.effect()
		}
		c.answer <- nil
	}
	for _, m := range n.mail {
		m.link.mail <- m.text
	}
	n.calls, n.mail = nil, nil
}

// subscribe replaces a node's subscription.
func (n *modelNet) subscribe(node string) *modelLink {
	n.mu.Lock()
	defer n.mu.Unlock()
	link := &modelLink{mail: make(chan []byte, 1<<10), end: make(chan struct{})}
	n.links[node] = link
	return link
}

// unsubscribe breaks a subscription; what was on its way over it is lost.
func (n *modelNet) unsubscribe(node string, link *modelLink) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if link == nil {
		link = n.links[node]
	}
	if link == nil || n.links[node] != link {
		return
	}
	delete(n.links, node)
	close(link.end)
	n.mail = slices.DeleteFunc(n.mail, func(m *modelLetter) bool { return m.link == link })
}

// mute makes a subscription deliver nothing any more.
func (n *modelNet) mute(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if link := n.links[node]; link != nil {
		link.muted = true
		n.mail = slices.DeleteFunc(n.mail, func(m *modelLetter) bool { return m.link == link })
	}
}

// versions are all versions that a ticket had, oldest first.
func (n *modelNet) versions(id ticket.ID) []ticket.Ticket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.redis.records[id].all)
}

// modelName is a ticket's name in the steps: the ids of a model begin with it.
func modelName(id ticket.ID) string { return strings.ToLower(string(id[:2])) }
