package hub_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// mutation is a deliberate fault in the environment of the nodes, which the model must
// detect.
type mutation int

const (
	noMutation   mutation = iota
	fakeConfirm           // a confirm is answered but never stored
	noResync              // a new subscription does not resync
	noAttachNode          // an attach does not record the node
	noSweep               // and the sweep reads nothing
)

// nodeKeys are the keys, which all nodes share.
type nodeKeys struct {
	ring   *ticket.Keyring
	signer testSigner
}

func newNodeKeys(t testing.TB) nodeKeys { return nodeKeysOf(t, hubtest.Key) }

func nodeKeysOf(t testing.TB, text string) nodeKeys {
	t.Helper()
	ring, masters := hubtest.NewKeyring(t, text)
	signer := testSigner{}
	for _, m := range masters {
		signer[m.ID()] = ed25519.NewKeyFromSeed(m.SigningSeed())
	}
	return nodeKeys{ring, signer}
}

// testSigner signs with private keys by kid. Its tokens are a JWT without header.
type testSigner map[string]ed25519.PrivateKey

func (testSigner) KeyTag(string, string) (uint32, error) { return 0, nil }

func (s testSigner) SignLogin(kid string, _ uint32, claims []byte) (string, error) {
	key, ok := s[kid]
	if !ok {
		return "", errors.New("no such key")
	}
	b64 := base64.RawURLEncoding
	return "." + b64.EncodeToString(claims) + "." + b64.EncodeToString(ed25519.Sign(key, claims)), nil
}

func (testSigner) Encrypt(*ecdh.PublicKey, string) (string, error) {
	return "", errors.New("no test here has a page's key")
}

// modelState is some nodes on one Redis, and tickets with their browsers.
type modelState struct {
	nodeKeys
	net      *modelNet
	mutation mutation
	client   *client.Client
	healed   time.Time          // when the faults ended
	cancel   context.CancelFunc // ends every browser and phone
	ctx      context.Context
	wg       sync.WaitGroup // browsers, phones, nodes

	mu            sync.Mutex // guards the fields below
	nodes         []*modelNode
	browsers      []*modelBrowser
	confirmedTo   [][]string  // by ticket: the users whose confirm succeeded
	confirmedLate []time.Time // by ticket: when it was confirmed after the faults
	firstError    error       // the first violation
}

// Short lifetimes keep a trace short that ends with a deadline. They exceed the sweep's
// 20 s.
const (
	modelTTL    = 45 * time.Second
	modelResult = time.Minute
)

func newModelState(keys nodeKeys, nodes, tickets int, bent mutation) *modelState {
	w := &modelState{nodeKeys: keys, net: newModelNet(keys.ring), mutation: bent, client: &client.Client{ID: "demo"}, confirmedTo: make([][]string, tickets), confirmedLate: make([]time.Time, tickets)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	for i := range nodes {
		w.nodes = append(w.nodes, w.startNode(fmt.Sprint("n", i)))
	}
	for i := range tickets {
		t := ticket.New(ticket.ID(fmt.Sprintf("T%d01234567890123456789", i)), ticket.Request{Client: w.client}, w.ring.Current(), w.net.redis.now(), modelTTL)
		sealed, err := w.ring.Seal(t)
		if err != nil {
			panic(err) // cannot happen with valid keys
		}
		if made, err := w.net.redis.create(t.ID, sealed, t.Deadline, modelTTL); err != nil || !made {
			panic(fmt.Sprint(made, err))
		}
		w.browsers = append(w.browsers, &modelBrowser{state: w, id: t.ID, rng: rand.New(rand.NewPCG(uint64(i), 7))})
	}
	return w
}

// fail records the first violation.
func (w *modelState) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.firstError == nil {
		w.firstError = err
	}
}

// modelNode is one process of a node.
type modelNode struct {
	*hub.Hub
	name  string
	state *modelState
	ctx   context.Context
	kill  context.CancelFunc // like kill -9
	ended chan struct{}

	mu     sync.Mutex // guards the fields below
	cutOff bool       // from Redis
	failed int        // failed calls
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

// nodeAt returns a node by its number.
func (w *modelState) nodeAt(i int) *modelNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i%len(w.nodes)]
}

// restart replaces a dead node by a new one.
func (w *modelState) restart(i int) {
	if old := w.nodeAt(i); old.dead() {
		n := w.startNode(old.name + "'")
		w.mu.Lock()
		defer w.mu.Unlock()
		w.nodes[i%len(w.nodes)] = n
	}
}

// serving returns the nodes to which a load balancer sends new browsers.
func (w *modelState) serving() []*modelNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *modelNode) bool { return n.dead() || n.Draining() })
}

// isDraining reports whether some node drains. A rolling restart drains one node at a
// time.
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

// setCutOff disconnects the node from Redis, or reconnects it.
func (n *modelNode) setCutOff(away bool) {
	n.mu.Lock()
	n.cutOff = away
	n.mu.Unlock()
	if away {
		n.state.net.unsubscribe(n.name, nil)
	}
}

// stop drains the node and then kills it. All waiters must be released before; a store
// call may delay that by callLimit.
func (n *modelNode) stop(over time.Duration) {
	n.mu.Lock()
	waiting := slices.Clone(n.conns)
	n.mu.Unlock()
	n.Drain(n.ctx, over)
	sleepCtx(n.ctx, callLimit+100*time.Millisecond)
	for _, l := range waiting {
		if l.waiting.Load() && l.ctx.Err() == nil && !n.dead() {
			n.state.fail(fmt.Errorf("%s drained, and browser %s was not released", n.name, modelName(l.browser.id)))
		}
	}
	n.kill()
}

// callerKey is the context key of a call's caller.
type callerKey struct{}

// rollBack makes Redis lose a ticket's last change, if no phone was promised that it
// persists: a scan, or a confirm without an answer, whose node will get no reply either
// (redisstore waits for the replica first).
func (w *modelState) rollBack(id ticket.ID) {
	w.mu.Lock()
	answered := len(w.confirmedTo[w.index(id)])
	w.mu.Unlock()
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	rec := w.net.redis.records[id]
	state := rec.versions[len(rec.versions)-1].State
	if state == ticket.Scanned || state == ticket.Confirmed && answered == 0 && !w.net.replyPending(modelName(id), ticket.Confirmed) {
		w.net.redis.rollBack(rec)
		w.net.silentLoss = time.Now()
	}
}

// call sends a store call of this node.
func (n *modelNode) call(ctx context.Context, label string, effect func()) error {
	err := ticket.ErrStoreUnavailable
	if n.reachesRedis() {
		err = n.state.net.call(ctx, n.name+" "+label, n.ctx.Done(), effect)
	}
	if err != nil {
		if strings.HasSuffix(label, string(ticket.Consumed)) {
			n.state.net.noteSilentLoss() // the node would have updated its own waiters; now only the sweep does
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

// modelStore is the hub.Store of a node.
type modelStore struct{ *modelNode }

func (s modelStore) Now() time.Time { return time.Now().UTC() }

func (s modelStore) Create(context.Context, ticket.ID, []byte, time.Time, time.Duration) (bool, error) {
	return false, errors.New("the model creates its tickets itself")
}

func (s modelStore) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	who, known := ctx.Value(callerKey{}).(string)
	kind := "attach " + who
	switch {
	case node == "":
		kind = "read " + who
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
		if c.ExcludeNode != "" {
			changes[i].ExcludeNode = s.name
		}
		kind += " " + modelName(c.ID)
		if len(c.Sealed) == 0 {
			kind += " repeated"
			continue
		}
		next, err := s.state.ring.Open(c.ID, c.Sealed)
		if err != nil {
			return nil, fmt.Errorf("open changed ticket: %w", err)
		}
		kind += " " + string(next.State)
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
