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

// Store is the truth: package redisstore, or anything with the same promises.
// Every error of it means that the truth cannot be had now.
type Store interface {
	// Now is the store's clock.
	Now() time.Time
	// Create stores a new record; made is false where the deadline was reckoned
	// with another clock than the store's, and Now has been set right.
	Create(ctx context.Context, id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (made bool, err error)
	// Attach reads records and notes the node on them ("" only reads).
	Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error)
	// Change makes changes and tells the noted nodes. One that was made and may
	// yet be lost is ticket.ErrNotLasting.
	Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error)
}

// Mailbox is the node's ear: also package redisstore.
type Mailbox interface {
	// Listen reads the node's mailbox until ctx ends or the link breaks.
	Listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error
	// Probe publishes a proof to the mailbox from every master, and says how
	// many must arrive.
	Probe(ctx context.Context, node, nonce string) (masters int, err error)
}

// Signer makes the token of confirmed claims: package api/token. The same claims
// and kid give the same bytes. It fails for a kid that it does not have, and for
// nothing else.
type Signer interface {
	Sign(kid string, claims []byte) (string, error)
}

// Config is what a Hub is made of. Every field is needed but Log and
// the last four.
type Config struct {
	Store      Store
	Mailbox    Mailbox
	Issuer     string     // the public URL, the same on all nodes
	Reloadable Reloadable // at first

	TicketTTL  time.Duration // time to scan
	ConfirmTTL time.Duration // at least so long to confirm after a scan
	ResultTTL  time.Duration // how long a confirmed ticket waits for its browser
	TokenTTL   time.Duration // token life; at least ResultTTL and a minute

	MaxWaiters int // waiting sockets and polls on this node
	// Replicated is set where the store makes a confirm survive the loss of its
	// master: then a repeated confirm is made to last too, before it is answered.
	Replicated bool
	Log        *slog.Logger

	// KillSwitches is where clients are switched off and on; nil: nowhere.
	KillSwitches KillSwitchStore
	// Audit takes the audit's lines; nil: Log's handler, whatever its level.
	Audit AuditLog
	// AuditRequired refuses every change whose line has no room in Audit, with
	// ErrAuditStalled. While Audit is stalled the node is not ready.
	AuditRequired bool
	// Metrics hears what happens; nil: nobody does.
	Metrics Metrics
}

// Hub is one node. It is safe for concurrent use.
type Hub struct {
	Config
	node               string // 128 random bits, base64url
	waiters            *registry
	liveness           liveness
	switches           killSwitch
	current            atomic.Pointer[current]
	deliveries         recentDeliveries
	sweepsPerHeartbeat int // every so many sweeps of a ticket is a heartbeat

	draining atomic.Bool
	wg       sync.WaitGroup // the goroutines of the sockets
	ctx      context.Context
	cancel   context.CancelFunc
}

// New makes a node; Run starts it.
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
	h.switches.words, h.switches.refused = map[string]word{}, map[string]string{}
	// A ticket is swept at least every half of the result's life; a heartbeat
	// is every so-manieth sweep.
	h.sweepsPerHeartbeat = int(max(1, (heartbeat+c.ResultTTL/2-1)/(c.ResultTTL/2)))
	h.waiters = newRegistry(c.MaxWaiters, heartbeat/time.Duration(h.sweepsPerHeartbeat))
	h.liveness.lastComplete = time.Now() // a new node has its five seconds too
	h.liveness.probeNow = make(chan struct{}, 1)
	return h
}

func newNodeID() string {
	var raw [16]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Node is this node's id: the name of its mailbox.
func (h *Hub) Node() string { return h.node }

// Waiting is how many sockets and polls wait on this node.
func (h *Hub) Waiting() int {
	sockets, polls := h.waiters.count()
	return sockets + polls
}

// WaitingBy is Waiting, by transport.
func (h *Hub) WaitingBy() (sockets, polls int) { return h.waiters.count() }

// Run is the node's life: it listens, proves, and sweeps until ctx ends. The
// sockets are to be let go before (Drain).
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
	h.wg.Wait()
}

// open checks a record's seal; a broken one is logged, for somebody writes in
// Redis, and is not found to the outside.
func (h *Hub) open(id ticket.ID, sealed []byte, where string) (ticket.Ticket, error) {
	if sealed == nil {
		return ticket.Ticket{}, ticket.ErrNotFound
	}
	t, err := h.current.Load().Keys.Open(id, sealed)
	if err != nil {
		h.Log.Error("record refused", "ticket", id, "error", err)
		h.refusedSeal(where, err)
	}
	return t, err
}

// clockError is more than the store's clock is usually off by.
const clockError = 50 * time.Millisecond

// view is what the browser is told now, with the token where there is one.
func (h *Hub) view(t ticket.Ticket) (ticket.View, error) {
	// The store's clock is known to some milliseconds, and a remaining time is
	// rounded up: without this a full minute would at times show as 61 seconds.
	// And where the clock is known badly, no ticket was there before it began.
	now := h.Store.Now().Add(clockError)
	if begun := h.startedAt(t); now.Before(begun) {
		now = begun
	}
	v := t.View(now)
	if t.State != ticket.Confirmed {
		return v, nil
	}
	token, err := h.current.Load().Signer.Sign(t.Key, t.Claims)
	if err != nil {
		return v, fmt.Errorf("sign token: %w: %w", ticket.ErrUnknownKey, err)
	}
	var life struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(t.Claims, &life); err != nil {
		return v, fmt.Errorf("read claims: %w", err)
	}
	v.Token, v.TokenType = token, "Bearer"
	v.TokenExpiresIn = ticket.Seconds(time.Unix(life.Exp, 0).Sub(now))
	return v, nil
}

// startedAt is when the time began to run that ends with the ticket's deadline.
func (h *Hub) startedAt(t ticket.Ticket) time.Time {
	switch {
	case t.State == ticket.Confirmed:
		return t.Deadline.Add(-h.ResultTTL)
	case t.State == ticket.Scanned && !t.Deadline.Equal(t.CreatedAt.Add(h.TicketTTL)): // the scan has moved it
		return t.Deadline.Add(-h.ConfirmTTL)
	}
	return t.CreatedAt
}
