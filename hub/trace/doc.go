// Package trace gives each request an id and each login one trace.
//
// The id of a request is the trace id of its traceparent header (W3C Trace Context), or
// random. It is in the request's log lines, error bodies and answer headers ([Request]).
//
// A login consists of requests of several browsers and phones to several nodes. They
// share one OpenTelemetry trace, whose id is a hash of the ticket's id. So each node
// computes the same trace id, and makes the same sampling decision, and nothing is
// stored. The hash keeps the ticket's id out of logs and collectors: who has the id can
// scan the ticket. A traceparent of the caller becomes a link, because the login's trace
// is its own.
//
// The package uses OpenTelemetry's API only; the program configures the SDK.
package trace
