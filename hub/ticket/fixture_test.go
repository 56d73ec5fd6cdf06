package ticket_test

import (
	"bytes"
	"crypto/sha256"
	"net/netip"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Lifetimes in these tests.
const (
	ticketTTL  = 2 * time.Minute
	confirmTTL = time.Minute
	resultTTL  = time.Minute
	tokenTTL   = 5 * time.Minute
)

// noon is when these tests create their tickets.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var wechatForm = &provider.TokenForm{AMR: "wechat", Prefix: "wechat", UnionPrefix: "wechat:unionid", OpenID: true}

// Users in these tests.
var (
	alice = provider.Identity{Provider: "wechat", Realm: "wx1", Subject: "alice", Union: "union-alice", Token: wechatForm}
	bob   = provider.Identity{Provider: "wechat", Realm: "wx1", Subject: "bob", Union: "union-bob", Token: wechatForm}
	carol = provider.Identity{Provider: "sandbox", Subject: "alice", Token: &provider.TokenForm{AMR: "sandbox", Prefix: "sandbox"}} // another user with alice's name
)

var demo = &client.Client{ID: "demo"}

// newTicket returns a pending ticket under the first key of newRing.
func newTicket(t testing.TB, c *client.Client) ticket.Ticket {
	t.Helper()
	return ticket.New(ticket.NewSecret().ID(), ticket.Request{
		Client: c, Nonce: "n-0S6_WzA2Mj", Address: netip.MustParseAddr("203.0.113.7"), Origin: "https://www.example.com", Browser: "Chrome 150", OS: "Windows",
	}, "new", noon, ticketTTL)
}

// newRing returns a keyring that seals with the key "new" and also opens with "old".
func newRing(t testing.TB, ids ...string) *ticket.Keyring {
	t.Helper()
	if len(ids) == 0 {
		ids = []string{"new", "old"}
	}
	var keys []ticket.Key
	for _, id := range ids {
		// The key's bytes derive from its id, so that the same id is the same key in
		// every ring.
		keys = append(keys, ticket.Key{ID: id, Seal: bytes.Repeat([]byte("s"+id), 8), Encrypt: encryptionKey(id), Match: bytes.Repeat([]byte("m"+id), 8), Code: bytes.Repeat([]byte("c"+id), 8), Known: bytes.Repeat([]byte("k"+id), 8), Frame: bytes.Repeat([]byte("f"+id), 8), Request: encryptionKey("request " + id)})
	}
	ring, err := ticket.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// encryptionKey derives 32 bytes from a key's id.
func encryptionKey(id string) []byte {
	key := sha256.Sum256([]byte(id))
	return key[:]
}

// atVersion returns the ring, which writes records of that version.
func atVersion(t testing.TB, ring *ticket.Keyring, version int) *ticket.Keyring {
	t.Helper()
	ring, err := ring.WithVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// seal seals the ticket or fails the test.
func seal(t testing.TB, ring *ticket.Keyring, v ticket.Ticket) []byte {
	t.Helper()
	sealed, err := ring.Seal(v)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// confirmation returns a confirm by that user at noon with the right number.
func confirmation(by provider.Identity, c *client.Client) ticket.Confirmation {
	return ticket.Confirmation{Identity: by, Match: "47", ExpectedMatch: "47", Now: noon, Sent: noon, ResultTTL: resultTTL,
		Token: ticket.TokenParams{Issuer: "https://login.example.com", Client: c, TTL: tokenTTL}}
}

// must returns a function that fails the test if a step fails.
func must(t testing.TB) func(ticket.Ticket, error) ticket.Ticket {
	return func(v ticket.Ticket, err error) ticket.Ticket {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// paths returns tickets in each state, one for each way to get there. If a user is
// recorded on the ticket, it is alice.
func paths(t testing.TB, c *client.Client) map[ticket.State][]ticket.Ticket {
	t.Helper()
	ok := must(t)
	pending := newTicket(t, c)
	scanned := ok(pending.Scan(alice, ticket.User{Nickname: "小明"}, noon, confirmTTL))
	confirmed := []ticket.Ticket{ok(scanned.Confirm(confirmation(alice, c)))}
	rejected := []ticket.Ticket{ok(pending.Reject(alice)), ok(scanned.Reject(alice)), ok(scanned.Cancel()), ok(confirmed[0].Cancel())}
	if c.NumberMatching {
		wrong := confirmation(alice, c)
		wrong.Match = "12"
		failed, err := scanned.Confirm(wrong)
		if err == nil {
			t.Fatal("a wrong number was confirmed")
		}
		rejected = append(rejected, failed)
	} else {
		confirmed = append(confirmed, ok(pending.Confirm(confirmation(alice, c)))) // in one step
	}
	all := map[ticket.State][]ticket.Ticket{
		ticket.Pending: {pending}, ticket.Scanned: {scanned}, ticket.Confirmed: confirmed, ticket.Rejected: rejected,
		ticket.Expired: {pending.Expire(), scanned.Expire(), confirmed[0].Expire()},
	}
	for _, v := range confirmed {
		all[ticket.Consumed] = append(all[ticket.Consumed], ok(v.Ack(v.Seq)))
	}
	return all
}
