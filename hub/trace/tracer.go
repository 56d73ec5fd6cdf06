package trace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"loginhub/hub/ticket"
)

// Tracer records the spans of logins. A nil Tracer records none. It is safe for concurrent
// use.
type Tracer struct {
	otel  otel.Tracer
	node  string
	links bool
}

// New returns a Tracer of a node. Its provider must use [IDs]. links adds the caller's
// traceparent to the span of a request.
func New(t otel.Tracer, node string, links bool) *Tracer { return &Tracer{t, node, links} }

// login is the trace of one ticket.
type login struct {
	tracer *Tracer
	ticket ticket.ID
	id     otel.TraceID
	rootID otel.SpanID // of the request that created the ticket
}

// login returns the trace of a ticket; ok is false if it is not sampled.
func (t *Tracer) login(id ticket.ID) (l login, ok bool) {
	if t == nil {
		return l, false
	}
	sum := sha256.Sum256([]byte("loginhub trace of " + id))
	l = login{tracer: t, ticket: id, id: otel.TraceID(sum[:16]), rootID: otel.SpanID(sum[16:24])}
	// The sampler decides by the trace id. A span that does not end is not exported.
	_, probe := t.otel.Start(l.withIDs(context.Background(), l.rootID), "login")
	return l, probe.SpanContext().IsSampled()
}

// LoginID returns the id of a ticket's trace, for exemplars; "" if it is not sampled.
func (t *Tracer) LoginID(id ticket.ID) string {
	if l, ok := t.login(id); ok {
		return l.id.String()
	}
	return ""
}

// stepID returns the id of the span of one step of the trace. Each node computes the same.
func (l *login) stepID(name string, seq int64, node string) otel.SpanID {
	sum := sha256.Sum256([]byte(name + " " + strconv.FormatInt(seq, 10) + " " + node + " of " + string(l.ticket)))
	return otel.SpanID(sum[:8])
}

// root starts the root of the trace.
func (l *login) root(start time.Time, attrs []attribute.KeyValue, options ...otel.SpanStartOption) otel.Span {
	return l.start(l.withIDs(context.Background(), l.rootID), "request", start, attrs, options)
}

// child starts a span below parent. A zero id is replaced by a random one.
func (l *login) child(parent, id otel.SpanID, name string, start time.Time, attrs []attribute.KeyValue, options ...otel.SpanStartOption) otel.Span {
	ctx := otel.ContextWithSpanContext(context.Background(), otel.NewSpanContext(otel.SpanContextConfig{
		TraceID: l.id, SpanID: parent, TraceFlags: otel.FlagsSampled, Remote: true}))
	if id.IsValid() {
		ctx = l.withIDs(ctx, id)
	}
	return l.start(ctx, name, start, attrs, options)
}

func (l *login) start(ctx context.Context, name string, start time.Time, attrs []attribute.KeyValue, options []otel.SpanStartOption) otel.Span {
	_, span := l.tracer.otel.Start(ctx, name, append(options, otel.WithTimestamp(start),
		otel.WithAttributes(append(attrs, attribute.String("loginhub.ticket", l.ticket.Short()))...))...)
	return span
}

// idsKey is the key of the ids that IDs returns.
type idsKey struct{}

type spanIDs struct {
	trace otel.TraceID
	span  otel.SpanID
}

func (l *login) withIDs(ctx context.Context, span otel.SpanID) context.Context {
	return context.WithValue(ctx, idsKey{}, spanIDs{l.id, span})
}

// IDs generates the ids of spans. It implements the SDK's IDGenerator.
type IDs struct{}

// NewIDs returns the ids of a trace's root.
func (IDs) NewIDs(ctx context.Context) (otel.TraceID, otel.SpanID) {
	ids, ok := ctx.Value(idsKey{}).(spanIDs)
	if !ok { // not a login's
		binary.NativeEndian.PutUint64(ids.trace[:8], rand.Uint64()|1)
		binary.NativeEndian.PutUint64(ids.trace[8:], rand.Uint64())
		ids.span = randomSpanID()
	}
	return ids.trace, ids.span
}

// NewSpanID returns the id of another span of a trace.
func (IDs) NewSpanID(ctx context.Context, _ otel.TraceID) otel.SpanID {
	if ids, ok := ctx.Value(idsKey{}).(spanIDs); ok {
		return ids.span
	}
	return randomSpanID()
}

func randomSpanID() (id otel.SpanID) {
	binary.NativeEndian.PutUint64(id[:], rand.Uint64()|1) // zero is no id
	return id
}

// Cause is how a node got a version of a ticket. It decides below which span its push is.
type Cause uint8

// The causes.
const (
	Read     Cause = iota // from Redis
	Changed               // this node has changed the ticket
	Received              // by a message of another node
)

// Publish records that a change of a ticket was stored and published, below the span of the
// context's request.
func (t *Tracer) Publish(ctx context.Context, v ticket.Ticket, since time.Time) {
	r := FromContext(ctx)
	if r != nil && r.span == nil {
		return // the login is not sampled
	}
	l, ok := t.login(v.ID)
	if !ok {
		return
	}
	parent := l.rootID
	if r != nil {
		parent = r.span.SpanContext().SpanID()
	}
	l.child(parent, l.stepID("publish", v.Seq, ""), "publish", since, version(v), otel.WithSpanKind(otel.SpanKindProducer)).End()
}

// Receive records that the node has handled a message with a version of a ticket.
func (t *Tracer) Receive(v ticket.Ticket, since time.Time) {
	l, ok := t.login(v.ID)
	if !ok {
		return
	}
	l.child(l.stepID("publish", v.Seq, ""), l.stepID("receive", v.Seq, t.node), "receive", since, version(v),
		otel.WithSpanKind(otel.SpanKindConsumer)).End()
}

// Push records that a version was written to a waiting browser.
func (t *Tracer) Push(v ticket.Ticket, cause Cause, transport string, since time.Time, failed bool) {
	l, ok := t.login(v.ID)
	if !ok {
		return
	}
	parent := l.rootID
	switch cause {
	case Changed:
		parent = l.stepID("publish", v.Seq, "")
	case Received:
		parent = l.stepID("receive", v.Seq, t.node)
	}
	span := l.child(parent, otel.SpanID{}, "push", since, append(version(v), attribute.String("loginhub.transport", transport)),
		otel.WithSpanKind(otel.SpanKindProducer))
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// version returns the attributes of a ticket's version.
func version(v ticket.Ticket) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("loginhub.state", string(v.State)), attribute.Int64("loginhub.seq", v.Seq),
		attribute.String("loginhub.client", v.Client)}
}

// Message returns the context of a message of a waiting browser, which is a request of its
// own, and the function that ends it.
func (t *Tracer) Message(ctx context.Context, id ticket.ID, name string) (context.Context, func(error)) {
	l, ok := t.login(id)
	if !ok {
		return ctx, func(error) {}
	}
	r := t.Request(ctx, "")
	r.span = l.child(l.rootID, otel.SpanID{}, name, r.Start, nil, otel.WithSpanKind(otel.SpanKindServer))
	return r, func(err error) {
		if err != nil {
			r.span.SetStatus(codes.Error, "")
		}
		r.span.End()
	}
}

// Redis records a call to Redis that began at since, below the span of the context's
// request. name is from a fixed set.
func Redis(ctx context.Context, name string, since time.Time, failed bool) {
	if r := FromContext(ctx); r != nil && r.span != nil {
		r.record("redis "+name, since, failed, attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", name))
	}
}

// Provider records a call to the provider with that id; "" if it is not known.
func Provider(ctx context.Context, id, name string, since time.Time, failed bool) {
	if r := FromContext(ctx); r != nil && r.span != nil {
		r.record("provider "+name, since, failed, attribute.String("peer.service", id))
	}
}

// record records an outgoing call.
func (r *Request) record(name string, since time.Time, failed bool, attrs ...attribute.KeyValue) {
	_, span := r.tracer.otel.Start(otel.ContextWithSpan(context.Background(), r.span), name, otel.WithTimestamp(since),
		otel.WithSpanKind(otel.SpanKindClient), otel.WithAttributes(attrs...))
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
