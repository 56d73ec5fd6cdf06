package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"loginhub/hub/ticket"
)

// modelNet is the network between the nodes and Redis. A call or message is in transit
// until a step decides about it, or until the faults are over.
type modelNet struct {
	mu         sync.Mutex // guards the fields below
	redis      modelRedis
	healed     bool
	calls      []*modelCall
	messages   []*modelMessage
	links      map[string]*modelLink // active subscriptions, by node
	silentLoss time.Time             // when a loss last happened that only the sweep can find
}

// modelCall is a node's call in transit.
type modelCall struct {
	label  string
	effect func()
	done   bool       // Redis has executed it; the reply is in transit
	answer chan error // capacity 1
}

// modelMessage is a message in transit.
type modelMessage struct {
	label string
	text  []byte
	link  *modelLink
}

// modelLink is a subscription.
type modelLink struct {
	messages chan []byte // buffered, so that a publish does not block
	end      chan struct{}
	muted    bool // it is active and delivers nothing
}

func newModelNet(ring *ticket.Keyring) *modelNet {
	n := &modelNet{links: map[string]*modelLink{}}
	n.redis = modelRedis{records: map[ticket.ID]*modelRecord{}, open: ring.Open, publish: n.publish, evicted: func(node string) {
		if n.links[node] != nil {
			n.silentLoss = time.Now()
		}
	}}
	return n
}

// publish sends a message to a node; without a subscription it is lost.
func (n *modelNet) publish(node string, message []byte) {
	link := n.links[node]
	if link == nil || link.muted {
		return
	}
	if _, _, probe := ticket.DecodeProbe(message); probe || n.healed {
		link.messages <- message
		return
	}
	id, sealed, _ := ticket.DecodeUpdate(message)
	t, err := n.redis.open(id, sealed)
	if err != nil {
		panic(err)
	}
	n.messages = append(n.messages, &modelMessage{label: fmt.Sprintf("message %s %s #%d", node, modelName(id), t.Seq), text: message, link: link})
}

// callLimit is the time-out of package redisstore for a reply.
const callLimit = 3 * time.Second

// call sends a call and waits for its reply. away ends the wait early.
func (n *modelNet) call(ctx context.Context, label string, away <-chan struct{}, effect func()) error {
	c := &modelCall{label: label, effect: effect, answer: make(chan error, 1)}
	n.mu.Lock()
	if n.healed {
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
	case <-over.C: // it may still reach Redis
	case <-away:
	case <-ctx.Done():
	}
	return ticket.ErrStoreUnavailable
}

// replyPending reports whether Redis has executed a ticket's change to that state and the
// reply is in transit. Called with mu held.
func (n *modelNet) replyPending(name string, s ticket.State) bool {
	return slices.ContainsFunc(n.calls, func(c *modelCall) bool {
		return c.done && strings.HasSuffix(c.label, " change "+name+" "+string(s))
	})
}

// noteSilentLoss records a loss that only the sweep can find.
func (n *modelNet) noteSilentLoss() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silentLoss = time.Now()
}

// pending returns the labels of everything in transit, in a fixed order.
func (n *modelNet) pending() (calls, answers, mail []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.calls {
		if c.done {
			answers = append(answers, c.label)
		} else {
			calls = append(calls, c.label)
		}
	}
	for _, m := range n.messages {
		mail = append(mail, m.label)
	}
	sort.Strings(calls)
	sort.Strings(answers)
	sort.Strings(mail)
	return calls, answers, mail
}

// resolve decides about a call in transit: whether Redis executes it now, whether it is
// answered, and with which error. It returns false if there is no such call.
func (n *modelNet) resolve(label string, done, effect, answer bool, err error) bool {
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

// deliver decides about a message in transit: whether it arrives, and whether a copy
// stays in transit.
func (n *modelNet) deliver(label string, arrives, stays bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, m := range n.messages {
		if m.label != label {
			continue
		}
		if arrives {
			m.link.messages <- m.text
		} else {
			n.silentLoss = time.Now()
		}
		if !stays {
			n.messages = slices.Delete(n.messages, i, i+1)
		}
		return true
	}
	return false
}

// finishAll ends the faults: everything in transit arrives, in a random order.
func (n *modelNet) finishAll(rng *rand.Rand) {
	for range 1000 {
		calls, answers, mail := n.pending()
		all := len(calls) + len(answers) + len(mail)
		if all == 0 {
			n.mu.Lock()
			n.healed = true
			n.mu.Unlock()
			return
		}
		switch i := rng.IntN(all); {
		case i < len(calls):
			n.resolve(calls[i], false, true, rng.IntN(2) == 0, nil)
		case i < len(calls)+len(answers):
			n.resolve(answers[i-len(calls)], true, false, true, nil)
		default:
			n.deliver(mail[i-len(calls)-len(answers)], true, false)
		}
		synctest.Wait()
	}
	panic("the nodes never stop calling")
}

// subscribe replaces a node's subscription.
func (n *modelNet) subscribe(node string) *modelLink {
	n.mu.Lock()
	defer n.mu.Unlock()
	link := &modelLink{messages: make(chan []byte, 1<<10), end: make(chan struct{})}
	n.links[node] = link
	return link
}

// unsubscribe ends a subscription; its messages in transit are lost.
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
	n.messages = slices.DeleteFunc(n.messages, func(m *modelMessage) bool { return m.link == link })
}

// mute stops the deliveries of a subscription without ending it.
func (n *modelNet) mute(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if link := n.links[node]; link != nil {
		link.muted = true
		n.messages = slices.DeleteFunc(n.messages, func(m *modelMessage) bool { return m.link == link })
	}
}

// versions returns the versions of a ticket that were not lost, oldest first.
func (n *modelNet) versions(id ticket.ID) []ticket.Ticket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.redis.records[id].versions)
}

// dropNodes deletes a ticket's waiting nodes, as a failover can.
func (n *modelNet) dropNodes(id ticket.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.redis.records[id].nodes, n.silentLoss = nil, time.Now()
}

// allVersions returns every version that a ticket ever had, also those that Redis lost.
func (n *modelNet) allVersions(id ticket.ID) (all []ticket.Ticket, fell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rec := n.redis.records[id]
	return slices.Concat(rec.versions, rec.lostVersions), len(rec.lostVersions) > 0
}

func (n *modelNet) rolledBack(id ticket.ID) bool {
	_, fell := n.allVersions(id)
	return fell
}

// modelName returns a ticket's name in the steps: the first two letters of its id.
func modelName(id ticket.ID) string { return strings.ToLower(string(id[:2])) }

// modelMailbox is the hub.Mailbox of a node.
type modelMailbox struct{ *modelNode }

func (m modelMailbox) Listen(ctx context.Context, _ string, subscribed func(), mail func([]byte)) error {
	if !m.reachesRedis() {
		return ticket.ErrStoreUnavailable
	}
	link := m.state.net.subscribe(m.name)
	defer m.state.net.unsubscribe(m.name, link)
	if m.state.mutation != noResync {
		subscribed()
	}
	for {
		select {
		case text := <-link.messages:
			mail(text)
		case <-link.end:
			return errors.New("the link breaks")
		case <-ctx.Done():
			return nil
		}
	}
}

func (m modelMailbox) Probe(_ context.Context, _, nonce string) (int, error) {
	if !m.reachesRedis() {
		return 0, ticket.ErrStoreUnavailable
	}
	m.state.net.mu.Lock()
	defer m.state.net.mu.Unlock()
	m.state.net.publish(m.name, ticket.EncodeProbe(nonce, 0))
	return 1, nil
}

// sleepCtx sleeps on the fake clock for d or until ctx ends.
func sleepCtx(ctx context.Context, d time.Duration) {
	one, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-one.Done()
}
