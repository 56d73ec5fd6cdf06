package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/api/token"
	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// mutation is a break of the protocol, made on purpose by what stands around the
// nodes; 0 is none.
type mutation int

const (
	noMutation   mutation = iota
	fakeConfirm           // a confirm is answered as done though the store never got it
	noResync              // a new subscription does not ask for the waiting tickets
	noAttachNode          // attaching does not note the node
	noSweep               // nor does anybody ask later
)

// nodeKeys are what nodes share: they have no state.
type nodeKeys struct {
	ring   *ticket.Keyring
	signer *token.Signer
}

func newNodeKeys(t testing.TB) nodeKeys { return nodeKeysOf(t, hubtest.Key) }

func nodeKeysOf(t testing.TB, text string) nodeKeys {
	masters, err := token.ParseMasterKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	var keys []ticket.Key
	for _, m := range masters {
		keys = append(keys, ticket.Key{ID: m.ID(), Seal: m.Seal(), Match: m.Match()})
	}
	ring, err := ticket.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(masters)
	if err != nil {
		t.Fatal(err)
	}
	return nodeKeys{ring, signer}
}

// modelState is some nodes on one Redis, and tickets with their pages.
type modelState struct {
	nodeKeys
	net      *modelNet
	mutation mutation
	client   *ticket.Client
	healed   time.Time          // when the faults ended
	cancel   context.CancelFunc // ends every page and phone
	ctx      context.Context
	wg       sync.WaitGroup // pages, phones, nodes

	mu            sync.Mutex // guards what follows
	nodes         []*modelNode
	browsers      []*modelBrowser
	confirmedTo   [][]string  // by ticket: the users who were told "confirmed"
	confirmedLate []time.Time // by ticket: when it was confirmed after all faults
	firstError    error       // the first that must not be
}

// The lives are short, so that a walk that ends with a deadline is; the sweep is
// every 20 s.
const (
	modelTTL    = 45 * time.Second
	modelResult = time.Minute
)

func newModelState(keys nodeKeys, nodes, tickets int, bent mutation) *modelState {
	w := &modelState{nodeKeys: keys, net: newModelNet(keys.ring), mutation: bent, client: &ticket.Client{ID: "demo"}, confirmedTo: make([][]string, tickets), confirmedLate: make([]time.Time, tickets)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	for i := range nodes {
		w.nodes = append(w.nodes, w.startNode(fmt.Sprint("n", i)))
	}
	for i := range tickets {
		t := ticket.New(ticket.ID(fmt.Sprintf("T%d01234567890123456789", i)), ticket.Request{Client: w.client}, w.ring.Current(), w.net.redis.now(), modelTTL)
		sealed, err := w.ring.Seal(t)
		if err != nil {
			panic(err) // a ticket that cannot be sealed is a mistake in this file
		}
		if made, err := w.net.redis.create(t.ID, sealed, t.Deadline, modelTTL); err != nil || !made {
			panic(fmt.Sprint(made, err))
		}
		w.browsers = append(w.browsers, &modelBrowser{state: w, id: t.ID, rng: rand.New(rand.NewPCG(uint64(i), 7))})
	}
	return w
}

// fail notes what must not be.
func (w *modelState) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.firstError == nil {
		w.firstError = err
	}
}

// modelNode is one life of a node.
type modelNode struct {
	*hub.Hub
	name  string
	state *modelState
	ctx   context.Context
	kill  context.CancelFunc // as kill -9 does
	ended chan struct{}

	mu     sync.Mutex // guards what follows
	cutOff bool       // it cannot reach Redis
	failed int        // calls that came to nothing
	conns  []*modelConn
}

func (w *modelState) startNode(name string) *modelNode {
	n := &modelNode{name: name, state: w, ended: make(chan struct{})}
	n.ctx, n.kill = context.WithCancel(context.Background())
	n.Hub = hub.New(hub.Config{Store: modelStore{n}, Mailbox: modelMailbox{n}, Reloadable: hub.Reloadable{Keys: w.ring, Signer: w.signer},
		Issuer: "http://login.test", TicketTTL: modelTTL, ConfirmTTL: modelTTL,
		ResultTTL: modelResult, Replicated: true, TokenTTL: 5 * time.Minute, MaxWaiters: 100})
	w.wg.Go(func() {
		n.Run(n.ctx)
		close(n.ended)
	})
	return n
}

// nodeAt is a node by its number.
func (w *modelState) nodeAt(i int) *modelNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i%len(w.nodes)]
}

// restart puts a new node in the place of a dead one.
func (w *modelState) restart(i int) {
	if old := w.nodeAt(i); old.dead() {
		n := w.startNode(old.name + "'")
		w.mu.Lock()
		defer w.mu.Unlock()
		w.nodes[i%len(w.nodes)] = n
	}
}

// serving are the nodes that a load balancer sends a new page to.
func (w *modelState) serving() []*modelNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *modelNode) bool { return n.dead() || n.Draining() })
}

// isDraining reports whether a node drains: one after the other, as a rolling
// restart does.
func (w *modelState) isDraining() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.nodes, func(n *modelNode) bool { return !n.dead() && n.Draining() })
}

func (n *modelNode) dead() bool { return n.ctx.Err() != nil }

// reachesRedis reports whether the node can reach Redis.
func (n *modelNode) reachesRedis() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cutOff && !n.dead()
}

// setCutOff separates the node from Redis, or joins it again.
func (n *modelNode) setCutOff(away bool) {
	n.mu.Lock()
	n.cutOff = away
	n.mu.Unlock()
	if away {
		n.state.net.unsubscribe(n.name, nil)
	}
}

// stop is a drain and then the process's end. Whoever waited is to be let go by
// then; a call of the store may hold him up for its limit.
func (n *modelNode) stop(over time.Duration) {
	n.mu.Lock()
	waiting := slices.Clone(n.conns)
	n.mu.Unlock()
	n.Drain(n.ctx, over)
	sleepCtx(n.ctx, callLimit+100*time.Millisecond)
	for _, l := range waiting {
		if l.waiting.Load() && l.ctx.Err() == nil && !n.dead() {
			n.state.fail(fmt.Errorf("%s drained, and page %s was not let go", n.name, modelName(l.browser.id)))
		}
	}
	n.kill()
}

// callerKey is the context's key for who makes a call.
type callerKey struct{}

// rollBack has Redis lose a ticket's last change, where nobody was promised that it
// lasts: a scan, or a confirm whose phone has no answer yet and whose node will get
// none (redisstore waits for the replica first).
func (w *modelState) rollBack(id ticket.ID) {
	w.mu.Lock()
	told := len(w.confirmedTo[w.index(id)])
	w.mu.Unlock()
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	rec := w.net.redis.records[id]
	state := rec.versions[len(rec.versions)-1].State
	if state == ticket.Scanned || state == ticket.Confirmed && told == 0 && !w.net.replyPending(modelName(id), ticket.Confirmed) {
		w.net.redis.rollBack(rec)
		w.net.silentLoss = time.Now()
	}
}

// call is a call of the store by this node.
func (n *modelNode) call(ctx context.Context, label string, effect func()) error {
	err := ticket.ErrStoreUnavailable
	if n.reachesRedis() {
		err = n.state.net.call(ctx, n.name+" "+label, n.ctx.Done(), effect)
	}
	if err != nil {
		if strings.HasSuffix(label, string(ticket.Consumed)) {
			n.state.net.noteSilentLoss() // the node tells itself, and now nobody does
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.failed++
	}
	return err
}

func (n *modelNode) failures() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// modelStore is the store as a node sees it.
type modelStore struct{ *modelNode }

func (s modelStore) Now() time.Time { return time.Now().UTC() }

func (s modelStore) Create(context.Context, ticket.ID, []byte, time.Time, time.Duration) (bool, error) {
	return false, errors.New("the model makes its tickets itself")
}

func (s modelStore) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	who, known := ctx.Value(callerKey{}).(string)
	kind := "attach " + who
	switch {
	case node == "":
		kind = "look " + who
	case !known:
		kind = "sweep"
	}
	if s.state.mutation == noSweep && kind == "sweep" {
		return nil, ticket.ErrStoreUnavailable
	}
	if node != "" && s.state.mutation != noAttachNode {
		node = s.name
	}
	for _, id := range slices.Sorted(slices.Values(ids)) {
		kind += " " + modelName(id)
	}
	var found []ticket.Stored
	err := s.call(ctx, kind, func() {
		for _, id := range ids {
			found = append(found, s.state.net.redis.attach(node, id))
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s modelStore) Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error) {
	kind := "change"
	for i, c := range changes {
		next, err := s.state.ring.Open(c.ID, c.Sealed)
		if err != nil {
			return nil, fmt.Errorf("a change to what cannot be opened: %w", err)
		}
		if c.ExcludeNode != "" {
			changes[i].ExcludeNode = s.name
		}
		kind += fmt.Sprintf(" %s %s", modelName(c.ID), next.State)
	}
	var all []ticket.Outcome
	err := s.call(ctx, kind, func() {
		for _, c := range changes {
			if s.state.mutation == fakeConfirm && strings.HasSuffix(kind, string(ticket.Confirmed)) {
				all = append(all, ticket.Outcome{Done: true, Stored: ticket.Stored{Now: s.state.net.redis.now()}})
				continue
			}
			all = append(all, s.state.net.redis.change(c))
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
