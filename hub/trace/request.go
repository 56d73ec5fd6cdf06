package trace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"loginhub/hub/ticket"
)

// Request is the context of one request. Only the request's goroutine calls its methods.
type Request struct {
	context.Context
	Start  time.Time
	Client string // id of the site that the request is about; "" if it is not known

	id     [1]string // an array, so that it is a header's value too
	caller [8]byte   // the caller's span, from its traceparent; zero: none
	flags  otel.TraceFlags
	tracer *Tracer
	span   otel.Span // nil until the ticket is known, and if the login is not sampled
}

// Request returns the context of a request with that traceparent header. A malformed one is
// ignored.
func (t *Tracer) Request(ctx context.Context, traceparent string) *Request {
	r := &Request{Context: ctx, Start: time.Now(), tracer: t}
	if id, ok := r.parse(traceparent); ok {
		r.id[0] = id
		return r
	}
	var random [16]byte
	rand.Read(random[:])
	var digits [32]byte
	hex.Encode(digits[:], random[:])
	r.id[0] = string(digits[:])
	return r
}

// The parts of a traceparent of version 00: 00-TRACE-SPAN-FLAGS, in lower-case hex.
const (
	parentLength = 55
	traceStart   = 3
	traceEnd     = traceStart + 32
	spanStart    = traceEnd + 1
	spanEnd      = spanStart + 16
	flagsStart   = spanEnd + 1
)

// parse reads a traceparent (W3C Trace Context, section 3.2) and returns its trace id. A
// later version may be longer; its known parts are the same.
func (r *Request) parse(h string) (id string, ok bool) {
	if len(h) < parentLength || len(h) > 4*parentLength || h[2] != '-' || h[traceEnd] != '-' || h[spanEnd] != '-' {
		return "", false
	}
	switch version := h[:2]; {
	case !isHex(version) || version == "ff":
		return "", false
	case len(h) > parentLength && (version == "00" || h[parentLength] != '-'):
		return "", false
	}
	id = h[traceStart:traceEnd]
	trace, errTrace := otel.TraceIDFromHex(id)
	caller, errSpan := otel.SpanIDFromHex(h[spanStart:spanEnd])
	flags := h[flagsStart:parentLength]
	if errTrace != nil || errSpan != nil || !trace.IsValid() || !isHex(flags) {
		return "", false
	}
	var raw [1]byte
	_, _ = hex.Decode(raw[:], []byte(flags))
	r.caller, r.flags = caller, otel.TraceFlags(raw[0])
	return id, true
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ID returns the request's id: 32 hex digits.
func (r *Request) ID() string { return r.id[0] }

// Header returns the value of the header with the request's id. Do not change it.
func (r *Request) Header() []string { return r.id[:] }

// requestKey is the key of the Request.
type requestKey struct{}

// Value implements context.Context.
func (r *Request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// FromContext returns the request of a context; nil if there is none.
func FromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// WithoutCancel is context.WithoutCancel, which finds a Request's values without an
// allocation.
func WithoutCancel(ctx context.Context) context.Context {
	switch r := ctx.(type) {
	case *Request:
		return detached{r}
	case detached:
		return r
	}
	return context.WithoutCancel(ctx)
}

// detached is a Request that does not end.
type detached struct{ *Request }

// Deadline implements context.Context.
func (detached) Deadline() (end time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (detached) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (detached) Err() error { return nil }

// RequestID returns the id of the context's request; "" if there is none.
func RequestID(ctx context.Context) string {
	if r := FromContext(ctx); r != nil {
		return r.ID()
	}
	return ""
}

// ID returns the trace id of the context's login, for exemplars; "" if it has none or is
// not sampled.
func ID(ctx context.Context) string {
	if r := FromContext(ctx); r != nil && r.span != nil {
		return r.span.SpanContext().TraceID().String()
	}
	return ""
}

// SetClient records which site the context's request is about.
func SetClient(ctx context.Context, client string) {
	if r := FromContext(ctx); r != nil {
		r.Client = client
	}
}

// Begin starts the span of the context's request, because its ticket is known now. created
// means that the request creates the ticket: then its span is the root of the trace. Further
// calls do nothing.
func Begin(ctx context.Context, id ticket.ID, created bool) {
	r := FromContext(ctx)
	if r == nil || r.tracer == nil || r.span != nil {
		return
	}
	login, ok := r.tracer.login(id)
	if !ok {
		return
	}
	attrs := []attribute.KeyValue{attribute.String("loginhub.request_id", r.ID())}
	options := []otel.SpanStartOption{otel.WithSpanKind(otel.SpanKindServer)}
	if r.caller != [8]byte{} && r.tracer.links {
		trace, _ := otel.TraceIDFromHex(r.ID())
		options = append(options, otel.WithLinks(otel.Link{SpanContext: otel.NewSpanContext(otel.SpanContextConfig{
			TraceID: trace, SpanID: r.caller, TraceFlags: r.flags, Remote: true})}))
	}
	if created {
		r.span = login.root(r.Start, attrs, options...)
	} else {
		r.span = login.child(login.rootID, otel.SpanID{}, "request", r.Start, attrs, options...)
	}
}

// End ends the request's span. route is its pattern, and code that of its error; "" for
// none.
func (r *Request) End(method, route string, status int, code string) {
	if r.span == nil {
		return
	}
	r.span.SetName(method + " " + route)
	r.span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status), attribute.String("loginhub.client", r.Client))
	if code != "" {
		r.span.SetAttributes(attribute.String("error.type", code))
	}
	if status >= 500 {
		r.span.SetStatus(codes.Error, "")
	}
	r.span.End()
}
