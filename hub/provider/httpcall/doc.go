// Package httpcall makes the HTTP calls of providers: one request for one answer.
//
// Three rules hold for every call. It is sent at most once, because it may spend a
// one-time code; redirects are not followed. It ends after [Limit], and reads at most
// 64 KiB. What the caller lists in [Call.Hidden] is in no error.
//
// Each provider has a [Client] per host, with a connection pool of its own, so that a
// provider that hangs delays no other. A table of its error codes says what is to be
// done ([Reaction]); the client maps them to the errors of package provider and counts
// them. [Token] shares an access token among the nodes.
package httpcall
