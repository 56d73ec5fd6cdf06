package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"loginhub/hub/ticket"
)

// Store holds the records of the tickets. Package redisstore implements it. Any error
// means that the store is unavailable.
type Store interface {
	// Now is the store's clock.
	Now() time.Time
	// Create stores a new record. made is false if the deadline was computed with a
	// clock that differs from the store's; Now is correct afterwards.
	Create(ctx context.Context, id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (made bool, err error)
	// Attach reads records and adds the node to their list of waiting nodes; with
	// node "" it only reads.
	Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error)
	// Change applies changes and publishes them to the mailboxes of the waiting
	// nodes. ticket.ErrNotReplicated: applied, but no replica has it yet.
	Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error)
}

// Mailbox subscribes to a node's pub/sub channel. Package redisstore implements it.
type Mailbox interface {
	// Listen passes the messages of the node's channel to mail until ctx ends or the
	// connection breaks. It calls subscribed once the subscription is active.
	Listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error
	// Probe publishes a liveness probe to the mailbox from every Redis master and
	// returns the number of probes that must arrive.
	Probe(ctx context.Context, node, nonce string) (masters int, err error)
}

// Signer signs confirmed claims as a token. Package api/token implements it. The same
// claims and kid give the same bytes. The only error is an unknown kid.
type Signer interface {
	Sign(kid string, claims []byte) (string, error)
}

// Config configures a Hub. All fields up to MaxWaiters are required.
type Config struct {
	Store      Store
	Mailbox    Mailbox
	Issuer     string     // the public URL, the same on all nodes
	Reloadable Reloadable // initial values; Reload replaces them

	TicketTTL  time.Duration // time to scan
	ConfirmTTL time.Duration // minimum time to confirm after a scan
	ResultTTL  time.Duration // how long a confirmed ticket waits for its browser
	TokenTTL   time.Duration // lifetime of a token; at least ResultTTL plus a minute

	MaxWaiters int // maximum of waiting sockets and polls on this node
	// Replicated: the store waits until replicas have a confirm. A repeated confirm is
	// then also replicated before it is answered.
	Replicated bool
	Log        *slog.Logger // nil: no log

	// KillSwitches stores the kill switches of the clients; nil: no kill switch.
	KillSwitches KillSwitchStore
	// Audit writes the audit lines; nil: Log's handler, at any level.
	Audit AuditLog
	// AuditRequired refuses a change with ErrAuditStalled if Audit has no room for its
	// line. While Audit is stalled the node is not ready.
	AuditRequired bool
	// Metrics receives the node's events; nil: no metrics.
	Metrics Metrics
}

// Hub is one node. Its methods are safe for concurrent use.
type Hub struct {
	Config
	node               string // 128 random bits, base64url
	waiters            *registry
	liveness           liveness
	switches           killSwitch
	current            atomic.Pointer[current]
	deliveries         recentDeliveries
	sweepsPerHeartbeat int // of one ticket

	draining atomic.Bool
	conns    conns
	ctx      context.Context
	cancel   context.CancelFunc
}

// New returns a node that is not running; Run runs it.
func New(c Config) *Hub {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = noopMetrics{}
	}
	if c.Audit == nil {
		c.Audit = unboundedAudit{c.Log.Handler()}
	}
	h := &Hub{Config: c, node: newNodeID()}
	h.deliveries.seed = maphash.MakeSeed()
	h.current.Store(newCurrent(c.Reloadable))
	h.switches.readNow = make(chan struct{}, 1)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.switches.values, h.switches.refused = map[string]switchValue{}, map[string]string{}
	// A ticket is swept at least twice in ResultTTL, which can be more often than the
	// heartbeat.
	h.sweepsPerHeartbeat = int(max(1, (heartbeat+c.ResultTTL/2-1)/(c.ResultTTL/2)))
	h.waiters = newRegistry(c.MaxWaiters, heartbeat/time.Duration(h.sweepsPerHeartbeat))
	h.liveness.lastComplete = time.Now() // a new node is stalled after five seconds too
	h.liveness.probeNow = make(chan struct{}, 1)
	return h
}

func newNodeID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Node returns the node's id, which also names its mailbox.
func (h *Hub) Node() string { return h.node }

// Waiting returns the number of sockets and polls that wait on this node.
func (h *Hub) Waiting() int {
	sockets, polls := h.waiters.count()
	return sockets + polls
}

// WaitingBy returns Waiting by transport.
func (h *Hub) WaitingBy() (sockets, polls int) { return h.waiters.count() }

// Run subscribes to the mailbox, probes it and sweeps until ctx ends. Then it closes
// what still waits; call Drain before ctx ends to close the sockets gradually.
func (h *Hub) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	jobs.Go(func() { h.listen(ctx) })
	jobs.Go(func() { h.probe(ctx) })
	jobs.Go(func() { h.monitorLiveness(ctx) })
	jobs.Go(func() { h.sweep(ctx) })
	jobs.Go(func() { h.pollSwitches(ctx) })
	jobs.Wait()
	h.cancel()
	h.waiters.releaseAll(shutdown)
	h.conns.wg.Wait()
}

// open checks a record's seal and decodes it. A broken seal is logged, because it means
// that someone else writes in Redis; callers treat it as not found.
func (h *Hub) open(id ticket.ID, sealed []byte, source string) (ticket.Ticket, error) {
	if sealed == nil {
		return ticket.Ticket{}, ticket.ErrNotFound
	}
	t, err := h.current.Load().Keys.Open(id, sealed)
	if err != nil {
		h.Log.Error("record refused", "ticket", id, "error", err)
		h.refusedSeal(source, err)
	}
	return t, err
}

// clockError exceeds the usual error of the store's clock.
const clockError = 50 * time.Millisecond

// view returns what the browser gets now, with the token if the ticket is confirmed.
func (h *Hub) view(t ticket.Ticket) (ticket.View, error) {
	// The store's clock is known to some milliseconds and a remaining time is rounded
	// up: without clockError a full minute would sometimes show as 61 seconds. If the
	// clock is off by more, now is at least the time when the state began.
	now := h.Store.Now().Add(clockError)
	if started := h.startedAt(t); now.Before(started) {
		now = started
	}
	v := t.View(now)
	if t.State != ticket.Confirmed {
		return v, nil
	}
	token, err := h.current.Load().Signer.Sign(t.Key, t.Claims)
	if err != nil {
		return v, fmt.Errorf("sign token: %w: %w", ticket.ErrUnknownKey, err)
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(t.Claims, &claims); err != nil {
		return v, fmt.Errorf("read claims: %w", err)
	}
	v.Token, v.TokenType = token, "Bearer"
	v.TokenExpiresIn = ticket.Seconds(time.Unix(claims.Exp, 0).Sub(now))
	return v, nil
}

// startedAt returns the start of the period that ends with the ticket's deadline.
func (h *Hub) startedAt(t ticket.Ticket) time.Time {
	switch {
	case t.State == ticket.Confirmed:
		return t.Deadline.Add(-h.ResultTTL)
	case t.State == ticket.Scanned && !t.Deadline.Equal(t.CreatedAt.Add(h.TicketTTL)): // the scan moved the deadline
		return t.Deadline.Add(-h.ConfirmTTL)
	}
	return t.CreatedAt
}
