package apitest_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub"
)

// attempt is a request that can be invalid in several ways at once.
type attempt struct {
	method, endpoint string
	id, secret       string // "" for an endpoint without ticket
	query, body      string
	kind             string // Content-Type; "" if there is no body
	origin           string
	protocols        []string // of a WebSocket handshake
	plain            bool     // a GET without a handshake
}

// badInput is one way to be invalid, and the expected answer.
type badInput struct {
	name   string
	rank   int // position in the order of checks; of equal ones either may answer
	status int
	code   string
	do     func(*attempt)
}

// The order of checks of the wire contract.
const (
	byRoute = iota
	byMethod
	byType
	bySize
	bySyntax
	bySecret
	byTicket
	byOrigin
	byLimit
	byState
)

func (f attempt) send(t *testing.T, s *testServer) *answer {
	t.Helper()
	path := ticketsPath
	if f.id != "" {
		path += "/" + f.id
	}
	path += f.endpoint + f.query
	var headers []string
	if f.origin != "" {
		headers = append(headers, "Origin", f.origin)
	}
	switch {
	case f.endpoint == "/ws" && f.plain:
		return s.ask(t, f.method, path, nil, headers...)
	case f.endpoint == "/ws":
		protocols := strings.Join(f.protocols, ", ")
		if f.secret != "" {
			protocols += ", loginhub.secret." + f.secret
		}
		headers = append(headers, handshake("Sec-WebSocket-Protocol", protocols)...)
	case f.secret != "":
		headers = append(headers, "Authorization", "Bearer "+f.secret)
	}
	if f.kind == "" {
		return s.ask(t, f.method, path, nil, headers...)
	}
	return s.ask(t, f.method, path, f.body, append(headers, "Content-Type", f.kind)...)
}

// handshake returns the headers of a valid WebSocket handshake, followed by more.
func handshake(more ...string) []string {
	h := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="}
	return append(h, more...)
}

// unknownTicket returns a well-formed secret and its ticket, which does not exist.
func unknownTicket() (id, secret string) {
	var raw [32]byte
	rand.Read(raw[:])
	sum := sha256.Sum256(raw[:])
	return base64.RawURLEncoding.EncodeToString(sum[:16]), base64.RawURLEncoding.EncodeToString(raw[:])
}

// Invalid inputs that several endpoints share.
var (
	wrongRoute  = badInput{"route", byRoute, 404, "not_found", func(a *attempt) { a.endpoint += "/more" }}
	wrongMethod = badInput{"method", byMethod, 405, "method_not_allowed", func(a *attempt) { a.method = "PUT" }}
	wrongType   = badInput{"media type", byType, 415, "unsupported_media_type", func(a *attempt) { a.kind = "text/plain" }}
	tooLarge    = badInput{"size", bySize, 413, "too_large", func(a *attempt) { a.body = bodyOfSize(16<<10 + 1) }}
	noJSON      = badInput{"syntax", bySyntax, 400, "invalid_request", func(a *attempt) { a.body = `{"` }}
	noTicketID  = badInput{"malformed ticket", bySyntax, 404, "ticket_not_found", func(a *attempt) { a.id = "AAAA" }}
	badQuery    = badInput{"query", bySyntax, 400, "invalid_request", func(a *attempt) { a.query = "?wait=56" }}
	noSecret    = badInput{"no secret", bySecret, 401, "invalid_secret", func(a *attempt) { a.secret = "" }}
	wrongSecret = badInput{"wrong secret", bySecret, 401, "invalid_secret", func(a *attempt) { _, a.secret = unknownTicket() }}
	noTicket    = badInput{"unknown ticket", byTicket, 404, "ticket_not_found", func(a *attempt) { a.id, a.secret = unknownTicket() }}
	badOrigin   = badInput{"origin", byOrigin, 403, "origin_not_allowed", func(a *attempt) { a.origin = "https://evil.example" }}
)

// checkPairs sends each request that is invalid in one or two ways. The earlier check
// must answer.
func checkPairs(t *testing.T, s *testServer, good func() attempt, faults ...badInput) {
	t.Helper()
	for i, first := range faults {
		for _, second := range faults[i:] {
			if second.name != first.name && second.rank == first.rank {
				continue
			}
			t.Run(fmt.Sprintf("%s before %s", first.name, second.name), func(t *testing.T) {
				a := good()
				second.do(&a)
				first.do(&a)
				a.send(t, s).problem(t, first.status, first.code)
			})
		}
	}
}

func TestCheckOrder_Create(t *testing.T) {
	t.Parallel()
	s := start(t, options{api: func(c *api.Config) { c.RateLimit = 1 }})
	good := func() attempt { return attempt{method: "POST", body: "{}", kind: "application/json"} }
	// The budget of one ticket a minute is used up. The limit is the last check.
	if a := good().send(t, s); a.status != http.StatusCreated {
		t.Fatalf("the valid request: %d %s", a.status, a.body)
	}
	limited := badInput{"limit", byLimit, 429, "rate_limited", func(*attempt) {}}
	noClient := badInput{"unknown client", bySyntax, 400, "invalid_request", func(a *attempt) { a.body = `{"client_id":"nobody"}` }}
	checkPairs(t, s, good, wrongMethod, wrongType, tooLarge, noJSON, noClient, badOrigin, limited)
}

func TestCheckOrder_Poll(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	good := func() attempt {
		p := s.createTicket(t, nil)
		return attempt{method: "GET", endpoint: "/poll", id: p.id, secret: p.secret}
	}
	good().send(t, s).ok(t, http.StatusOK)
	checkPairs(t, s, good, wrongRoute, wrongMethod, noTicketID, badQuery, noSecret, wrongSecret, noTicket, badOrigin)
}

func TestCheckOrder_Ack(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	good := func() attempt { // except for the state
		p := s.createTicket(t, nil)
		return attempt{method: "POST", endpoint: "/ack", id: p.id, secret: p.secret, body: `{"seq":1}`, kind: "application/json"}
	}
	early := badInput{"state", byState, 409, "not_confirmed", func(*attempt) {}}
	noSeq := badInput{"no seq", bySyntax, 400, "invalid_request", func(a *attempt) { a.body = `{}` }}
	checkPairs(t, s, good, wrongRoute, wrongMethod, wrongType, tooLarge, noTicketID, noJSON, noSeq, noSecret, wrongSecret, noTicket, badOrigin, early)
}

func TestCheckOrder_Cancel(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	consumed := ticketIn(t, s, "consumed")
	good := func() attempt { // except for the state
		return attempt{method: "POST", endpoint: "/cancel", id: consumed.id, secret: consumed.secret, body: `{}`, kind: "application/json"}
	}
	late := badInput{"state", byState, 409, "ticket_closed", func(*attempt) {}}
	checkPairs(t, s, good, wrongRoute, wrongMethod, wrongType, tooLarge, noTicketID, noJSON, noSecret, wrongSecret, noTicket, badOrigin, late)
}

func TestCheckOrder_PhoneCall(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	noProvider := badInput{"unknown provider", bySyntax, 400, "invalid_request", func(a *attempt) { a.body = `{"provider":"x","code":"y"}` }}
	closed := badInput{"state", byState, 409, "ticket_closed", func(*attempt) {}}
	for _, action := range []string{"scan", "confirm", "reject"} {
		t.Run(action, func(t *testing.T) {
			good := func() attempt { // except for the state
				p := s.createTicket(t, nil)
				s.phone("bob").mustDo(t, p, "reject")
				return attempt{method: "POST", endpoint: "/" + action, id: p.id, kind: "application/json",
					body: fmt.Sprintf(`{"provider":"sandbox","code":%q}`, s.phone("ann").code())}
			}
			checkPairs(t, s, good, wrongRoute, wrongMethod, wrongType, tooLarge, noTicketID, noJSON, noProvider, noTicket, closed)
		})
	}
}

func TestCheckOrder_Socket(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	good := func() attempt {
		p := s.createTicket(t, nil)
		return attempt{method: "GET", endpoint: "/ws", id: p.id, secret: p.secret, protocols: []string{"loginhub.v1"}}
	}
	plain := badInput{"no handshake", bySyntax, 426, "upgrade_required", func(a *attempt) { a.plain = true }}
	noProtocol := badInput{"no protocol", bySyntax, 400, "invalid_request", func(a *attempt) { a.protocols = []string{"chat"} }}
	checkPairs(t, s, good, wrongRoute, wrongMethod, plain, noTicketID, noProtocol, noSecret, wrongSecret, noTicket, badOrigin)
}

func TestCheckOrder_Overloaded(t *testing.T) {
	t.Parallel()
	s := start(t, options{hub: func(c *hub.Config) { c.MaxWaiters = 0 }})
	full := badInput{"full node", byLimit, 503, "overloaded", func(*attempt) {}}
	t.Run("poll", func(t *testing.T) {
		checkPairs(t, s, func() attempt {
			p := s.createTicket(t, nil)
			return attempt{method: "GET", endpoint: "/poll", query: "?wait=1", id: p.id, secret: p.secret}
		}, wrongRoute, wrongMethod, noTicketID, badQuery, noSecret, wrongSecret, noTicket, badOrigin, full)
	})
	t.Run("socket", func(t *testing.T) {
		checkPairs(t, s, func() attempt {
			p := s.createTicket(t, nil)
			return attempt{method: "GET", endpoint: "/ws", id: p.id, secret: p.secret, protocols: []string{"loginhub.v1"}}
		}, wrongRoute, wrongMethod, noTicketID, noSecret, wrongSecret, noTicket, badOrigin, full)
	})
}
