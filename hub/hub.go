package hub

import (
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
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
// kid, tag and claims give the same bytes. Signing has one error, an unknown key.
type Signer interface {
	// KeyTag returns the tag of the key of that algorithm that belongs to the kid.
	KeyTag(kid, alg string) (uint32, error)
	SignLogin(kid string, tag uint32, claims []byte) (string, error)
	// Encrypt returns the token as a JWE for the key.
	Encrypt(to *ecdh.PublicKey, token string) (string, error)
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
	// KeysChanged is called with the keys that nodes share in KillSwitches: after the first
	// read, and when they change. It reloads the node with them. nil: none.
	KeysChanged func(SharedKeys)
	// Audit writes the audit lines; nil: Log's handler, at any level.
	Audit AuditLog
	// AuditRequired refuses a change with ErrAuditStalled if Audit has no room for its
	// line. While Audit is stalled the node is not ready.
	AuditRequired bool
	// Metrics receives the node's events; nil: no metrics.
	Metrics Metrics
	// Tracer records the traces of logins; nil: none.
	Tracer *trace.Tracer
	// Node is the node's id, of NewNodeID; "": New makes one.
	Node string
}

// Hub is one node. Its methods are safe for concurrent use.
type Hub struct {
	MasterKeys KeyControl

	config  Config
	node    string // 128 random bits, base64url
	log     *slog.Logger
	metrics Metrics
	current reloadable

	waiters   *registry
	liveness  *liveness
	audit     *auditor
	records   *records
	admission *admission
	mailbox   *mailbox
	resync    *resyncer
	switches  *killSwitch
	conns     conns
	writers   workers[*socket]

	ctx    context.Context // of the calls of sockets
	cancel context.CancelFunc
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
	h := &Hub{config: c, node: cmp.Or(c.Node, NewNodeID()), log: c.Log, metrics: c.Metrics}
	h.current.Store(newCurrent(c.Reloadable))
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.writers = workers[*socket]{do: (*socket).write, wg: &h.conns.wg, done: h.ctx.Done(), next: make(chan *socket)}
	// A ticket is swept at least twice in ResultTTL, which can be more often than the
	// heartbeat.
	sweeps := int(max(1, (heartbeat+c.ResultTTL/2-1)/(c.ResultTTL/2)))
	h.waiters = newRegistry(c.MaxWaiters, heartbeat/time.Duration(sweeps))
	h.liveness = newLiveness()
	h.audit = &auditor{log: c.Audit, required: c.AuditRequired, metrics: c.Metrics, current: &h.current}
	h.audit.deliveries.seed = maphash.MakeSeed()
	h.records = &records{store: c.Store, node: h.node, current: &h.current, waiters: h.waiters, audit: h.audit, metrics: c.Metrics, tracer: c.Tracer, log: c.Log,
		ticketTTL: c.TicketTTL, confirmTTL: c.ConfirmTTL, resultTTL: c.ResultTTL}
	h.admission = &admission{liveness: h.liveness, waiters: h.waiters, records: h.records}
	h.mailbox = &mailbox{channel: c.Mailbox, node: h.node, liveness: h.liveness, records: h.records, waiters: h.waiters, metrics: c.Metrics, log: c.Log}
	h.resync = &resyncer{records: h.records, waiters: h.waiters, metrics: c.Metrics, log: c.Log, sweepsPerHeartbeat: sweeps}
	h.switches = newKillSwitch(c, &h.current, h.audit, h.waiters)
	h.MasterKeys = KeyControl{h.switches}
	h.conns.log = c.Log
	return h
}

// NewNodeID returns a random id for a node.
func NewNodeID() string {
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

// MaxWaiters returns the limit of Waiting.
func (h *Hub) MaxWaiters() int { return h.config.MaxWaiters }

// Issuer returns the issuer of the tokens.
func (h *Hub) Issuer() string { return h.config.Issuer }

// LastProbeAge returns the time since liveness probes last arrived from all masters, or
// since New if they never did.
func (h *Hub) LastProbeAge() time.Duration { return h.liveness.age() }

// AuditRefusal writes the line of a refused browser request. action is the request's
// name and outcome the error code. t holds what is known: ticket and client, one of
// them or neither, and in Address the browser's address.
func (h *Hub) AuditRefusal(ctx context.Context, action string, t ticket.Ticket, outcome string, reason error) {
	h.audit.refusal(ctx, action, t, outcome, reason)
}

// CheckEnabled returns nil if the client's QR login is on, ticket.ErrLoginDisabled if it
// is off, and ticket.ErrStoreUnavailable if its value could not be read.
func (h *Hub) CheckEnabled(client string) error { return h.switches.check(client) }

// SetEnabled switches the QR login of a client on or off: at once on this node, within
// switchInterval on the others. operator is the caller's address, for the audit.
// ticket.ErrNotReplicated: done, but no replica has it yet. ErrAuditStalled: not done.
func (h *Hub) SetEnabled(ctx context.Context, client string, on bool, operator netip.Addr) error {
	return h.switches.set(ctx, client, on, operator)
}

// Run subscribes to the mailbox, probes it and sweeps until ctx ends. Then it closes
// what still waits; call Drain before ctx ends to close the sockets gradually.
func (h *Hub) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	jobs.Go(func() { h.mailbox.listen(ctx) })
	jobs.Go(func() { h.mailbox.probe(ctx) })
	jobs.Go(func() { h.monitor(ctx) })
	jobs.Go(func() { h.resync.sweep(ctx) })
	jobs.Go(func() { h.switches.poll(ctx) })
	jobs.Wait()
	h.mailbox.releasing.Wait()
	h.cancel()
	h.waiters.releaseAll(shutdown)
	h.conns.stop()
}

// Reasons why a node is not ready.
var (
	errDraining = fmt.Errorf("this node is draining: %w", ticket.ErrOverloaded)
	errNoProbe  = fmt.Errorf("no liveness probe has arrived yet: %w", ticket.ErrStoreUnavailable)
	errStalled  = fmt.Errorf("liveness probes do not arrive: %w", ticket.ErrStoreUnavailable)
	errNoSwitch = fmt.Errorf("the kill switch was not read yet: %w", ticket.ErrStoreUnavailable)
	errNoKey    = fmt.Errorf("every key is revoked: %w", ticket.ErrStoreUnavailable)
	errNoRSAKey = fmt.Errorf("there is no RSA key for RS256 yet: %w", ticket.ErrStoreUnavailable)
)

// Ready returns nil if a load balancer may send browsers to this node. Probes arrive,
// the kill switch was read, a required audit is not stalled, and the node does not
// drain.
func (h *Hub) Ready() error {
	if h.Draining() {
		return errDraining
	}
	if err := h.liveness.ready(); err != nil {
		return err
	}
	switch {
	case !h.switches.loaded():
		return errNoSwitch
	case !h.switches.keysUsable.Load():
		return errNoKey
	case !h.switches.keysComplete.Load():
		return errNoRSAKey
	case h.audit.stalled():
		return ErrAuditStalled
	}
	return nil
}

// errNotChecked is the readiness before the first check.
var errNotChecked = errors.New("unknown")

// logReadiness logs a change of the readiness and returns it for the next call. It does
// not log draining, which has a log line of its own.
func (h *Hub) logReadiness(was error) (now error) {
	now = h.Ready()
	switch {
	case now == was || now == errDraining:
	case now == nil:
		h.log.Info("ready", "node", h.node)
	default:
		h.log.Warn("not ready", "node", h.node, "reason", now)
	}
	return now
}

// monitor checks the liveness probes and logs changes of the readiness until ctx ends.
func (h *Hub) monitor(ctx context.Context) {
	for ready := errNotChecked; ctx.Err() == nil; {
		sleepCtx(ctx, livenessInterval)
		h.mailbox.checkLiveness(ctx)
		ready = h.logReadiness(ready)
	}
}
