package ticket_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// full returns a ticket with every field set.
func full(t testing.TB) ticket.Ticket {
	t.Helper()
	v := must(t)(newTicket(t, demo).Scan(alice, ticket.User{Nickname: "小明", AvatarURL: "https://example.com/a"}, noon, confirmTTL))
	return must(t)(v.Confirm(confirmation(alice, demo)))
}

// refused fails if the bytes open, or if the error is not the wanted one.
func refused(t testing.TB, ring *ticket.Keyring, id ticket.ID, sealed []byte, what string, allowed ...error) {
	t.Helper()
	v, err := ring.Open(id, sealed)
	if !reflect.DeepEqual(v, ticket.Ticket{}) {
		t.Errorf("%s: opened as %+v (%v)", what, v, err)
	}
	for _, a := range allowed {
		if errors.Is(err, a) {
			return
		}
	}
	t.Errorf("%s: %v, want %v", what, err, allowed)
}

func TestSeal_RoundTrip(t *testing.T) {
	for version, proof := range map[int]int{1: 43, 2: 32} {
		ring := atVersion(t, newRing(t), version)
		for _, all := range paths(t, demo) {
			for _, v := range append(all, full(t)) {
				sealed := seal(t, ring, v)
				got, err := newRing(t).Open(v.ID, sealed) // every node opens both versions
				if err != nil {
					t.Fatal(err)
				}
				if tag := got.Tag(); !bytes.HasPrefix(sealed, tag) || len(tag) != len("1.new.")+proof+1 {
					t.Errorf("the tag %q does not name %.60q", tag, sealed)
				}
				if version == 1 { // nodes of earlier releases would drop them
					v.Origin, v.Reason = "", 0
				}
				if a, b := encoded(t, v), encoded(t, got); a != b {
					t.Errorf("version %d: comes back as\n%s\ninstead of\n%s", version, b, a)
				}
			}
		}
	}
	for _, version := range []int{-1, 0, 3} {
		if _, err := newRing(t).WithVersion(version); err == nil {
			t.Errorf("there is a version %d", version)
		}
	}
}

// encoded returns the ticket's fields as JSON.
func encoded(t testing.TB, v ticket.Ticket) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSeal_Format fixes the formats: old nodes read what new ones write, so a format may
// never change under the same version. The test computes MAC and ciphertext itself.
func TestSeal_Format(t *testing.T) {
	ring, err := ticket.NewKeyring([]ticket.Key{{ID: "kid", Seal: []byte("a key"), Encrypt: encryptionKey("kid"), Match: []byte("another")}})
	if err != nil {
		t.Fatal(err)
	}
	const id = "Zmh6rfhivXdsj8GLjp-OIA"
	v := ticket.New(id, ticket.Request{Client: demo, Nonce: "n", Origin: "https://a.example"}, "kid", noon, ticketTTL)
	const body = `{"ticket":"Zmh6rfhivXdsj8GLjp-OIA","client":"demo","nonce":"n",%s"made_at":"2026-03-01T12:00:00Z","kid":"kid",` +
		`"state":"pending","seq":1,"deadline":"2026-03-01T12:02:00Z"}`
	first := fmt.Sprintf(body, "")
	mac := hmac.New(sha256.New, []byte("a key"))
	mac.Write([]byte("loginhub record 1.kid." + first))
	if got, want := string(seal(t, atVersion(t, ring, 1), v)), "1.kid."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil))+"."+first; got != want {
		t.Errorf("written\n%s, want\n%s", got, want)
	}
	sealed := seal(t, ring, v)
	head, ciphertext := split(sealed)
	nonce, err := base64.RawURLEncoding.DecodeString(strings.Split(head, ".")[2])
	if err != nil || !strings.HasPrefix(head, "2.kid.") {
		t.Fatalf("head %q: %v", head, err)
	}
	aead, err := chacha20poly1305.NewX(encryptionKey("kid"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := aead.Open(nil, nonce, ciphertext, []byte("loginhub record "+id+" "+head))
	if want := fmt.Sprintf(body, `"origin":"https://a.example",`); err != nil || string(text) != want {
		t.Errorf("encrypted\n%s, want\n%s (%v)", text, want, err)
	}
}

// split returns a sealed record's head, up to the third dot, and its body.
func split(sealed []byte) (head string, body []byte) {
	parts := bytes.SplitAfterN(sealed, []byte("."), 4)
	return string(bytes.Join(parts[:3], nil)), parts[3]
}

func TestSeal_TagUnique(t *testing.T) {
	ring := newRing(t)
	v := newTicket(t, demo)
	seen := map[string]bool{}
	for _, each := range []ticket.Ticket{v, v.Expire(), must(t)(v.Reject(alice)), must(t)(v.Reject(bob)), full(t), v, v} {
		opened, err := ring.Open(each.ID, seal(t, ring, each))
		if err != nil || seen[string(opened.Tag())] {
			t.Errorf("%+v has the tag %q of another (%v)", each, opened.Tag(), err)
		}
		seen[string(opened.Tag())] = true
	}
}

func TestOpen_RejectsTampering(t *testing.T) {
	for version := 1; version <= ticket.RecordVersion; version++ {
		ring := atVersion(t, newRing(t), version)
		v := full(t)
		sealed := seal(t, ring, v)
		head, _ := split(sealed)
		for i := range sealed {
			was := sealed[i]
			step := 1 // every value in the head
			if i >= len(head) {
				step = 37 // some values in the body, which is authenticated as a whole
			}
			for x := 1; x < 256; x += step {
				sealed[i] = was ^ byte(x)
				refused(t, ring, v.ID, sealed, string(sealed), ticket.ErrBrokenSeal, ticket.ErrUnknownKey)
			}
			sealed[i] = was
		}
		for i := range sealed {
			refused(t, ring, v.ID, sealed[:i], "truncated", ticket.ErrBrokenSeal)
			refused(t, ring, v.ID, sealed[i+1:], "beheaded", ticket.ErrBrokenSeal, ticket.ErrUnknownKey)
		}
		for _, more := range []string{" ", "\n", "{}", "\x00", string(sealed)} {
			refused(t, ring, v.ID, []byte(string(sealed)+more), "extended", ticket.ErrBrokenSeal)
			refused(t, ring, v.ID, []byte(more+string(sealed)), "preceded", ticket.ErrBrokenSeal)
		}
		refused(t, ring, v.ID, nil, "nothing", ticket.ErrBrokenSeal)
	}
}

// TestOpen_UnknownVersion checks that bytes that begin with a later version's number are
// not judged, whatever follows and however long they are. All other bytes have a broken
// seal.
func TestOpen_UnknownVersion(t *testing.T) {
	ring := newRing(t)
	v := full(t)
	rest := string(seal(t, ring, v)[1:])
	for _, later := range []string{"3" + rest, "3.", "9999.x", "10" + rest, "3.\x00\xff", "3." + strings.Repeat("x", 2*ticket.MaxSealed)} {
		_, err := ring.Open(v.ID, []byte(later))
		if !errors.Is(err, ticket.ErrUnknownVersion) || !errors.Is(err, ticket.ErrUnknownKey) || errors.Is(err, ticket.ErrBrokenSeal) {
			t.Errorf("%.40q: %v", later, err)
		}
	}
	for _, broken := range []string{"", "3", "1.", "2.", ".", "..", "0.", "0" + rest, "01" + rest, "12345" + rest, "v2.", "-1" + rest, " 3" + rest, "{}"} {
		_, err := ring.Open(v.ID, []byte(broken))
		if !errors.Is(err, ticket.ErrBrokenSeal) || errors.Is(err, ticket.ErrUnknownKey) {
			t.Errorf("%.40q: %v", broken, err)
		}
	}
}

// TestOpen_LaterKind: what a later release seals in the same version, and this one does not
// know, is not judged either.
func TestOpen_LaterKind(t *testing.T) {
	ring := newRing(t)
	for what, change := range map[string]func(*ticket.Ticket){
		"grant": func(v *ticket.Ticket) { v.Grant = &ticket.Grant{Type: "later"} },
		"state": func(v *ticket.Ticket) { v.State = "later" },
		"JSON":  func(v *ticket.Ticket) { v.Claims = []byte(`{},"seq":"later"`) },
	} {
		v := full(t)
		change(&v)
		if _, err := ring.Open(v.ID, seal(t, ring, v)); !errors.Is(err, ticket.ErrUnknownVersion) || errors.Is(err, ticket.ErrBrokenSeal) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOpen_OtherTicket(t *testing.T) {
	for version := 1; version <= ticket.RecordVersion; version++ {
		ring := atVersion(t, newRing(t), version)
		victim, attacker := full(t), newTicket(t, demo)
		refused(t, ring, attacker.ID, seal(t, ring, victim), "the victim's at the attacker's", ticket.ErrBrokenSeal)
		refused(t, ring, victim.ID, seal(t, ring, attacker), "the attacker's at the victim's", ticket.ErrBrokenSeal)
		refused(t, ring, "", seal(t, ring, victim), "the victim's at none", ticket.ErrBrokenSeal)
		// The head of one record does not fit the body of another.
		one, other := seal(t, ring, victim), seal(t, ring, attacker)
		head, _ := split(one)
		_, body := split(other)
		refused(t, ring, attacker.ID, append([]byte(head), body...), "mixed", ticket.ErrBrokenSeal)
		if version == 1 {
			// A body that an attacker has changed does not fit the old MAC.
			renamed := bytes.ReplaceAll(one, []byte(victim.ID), []byte(attacker.ID))
			refused(t, ring, attacker.ID, renamed, "renamed", ticket.ErrBrokenSeal)
			moved := bytes.Replace(other, []byte("203.0.113.7"), []byte("203.0.113.8"), 1)
			refused(t, ring, attacker.ID, moved, "another requester", ticket.ErrBrokenSeal)
		}
	}
}

func TestOpen_OldKey(t *testing.T) {
	before, during, after := newRing(t, "old"), newRing(t, "new", "old"), newRing(t, "new")
	v := newTicket(t, demo)
	v.Key = before.Current()
	sealed := seal(t, before, v)
	got, err := during.Open(v.ID, sealed)
	if err != nil || got.Key != "old" {
		t.Fatalf("during a rotation: %+v, %v", got, err)
	}
	// The next version stays under the ticket's own key, because some nodes lack the new
	// one.
	next := seal(t, during, got.Expire())
	if _, err := before.Open(v.ID, next); err != nil {
		t.Errorf("a node with the old key alone: %v", err)
	}
	refused(t, after, v.ID, sealed, "the old key is gone", ticket.ErrUnknownKey)
	if during.Current() != "new" {
		t.Errorf("new tickets are sealed under %s", during.Current())
	}
}

func TestOpen_UnknownKey(t *testing.T) {
	v := newTicket(t, demo)
	v.Key = "other"
	sealed := seal(t, newRing(t, "other"), v)
	refused(t, newRing(t), v.ID, sealed, "a key that we lack", ticket.ErrUnknownKey)
	// Another key under the same name does not open the record.
	posing, err := ticket.NewKeyring([]ticket.Key{{ID: "other", Seal: []byte("guessed"), Encrypt: encryptionKey("guessed"), Match: []byte("guessed")}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, newRing(t, "other"), v.ID, seal(t, posing, v), "a key of the same name", ticket.ErrBrokenSeal)
	// The key inside the record must be the key in the head.
	v.Key = "new"
	for version, head := range []string{1: "1.", 2: "2."} {
		if head != "" {
			inside := bytes.Replace(seal(t, atVersion(t, newRing(t), version), v), []byte(head+"new."), []byte(head+"old."), 1)
			refused(t, newRing(t), v.ID, inside, "two keys", ticket.ErrBrokenSeal)
		}
	}
}

func TestSeal_UnknownKey(t *testing.T) {
	ring := newRing(t)
	v := newTicket(t, demo)
	v.Key = "gone"
	if sealed, err := ring.Seal(v); !errors.Is(err, ticket.ErrUnknownKey) || sealed != nil {
		t.Errorf("sealed %q, %v", sealed, err)
	}
	if code, offered, err := ring.MatchNumbers(v); !errors.Is(err, ticket.ErrUnknownKey) || code != "" || offered != nil {
		t.Errorf("numbers %q %q, %v", code, offered, err)
	}
}

func TestKeyring_DuplicateKeys(t *testing.T) {
	if _, err := ticket.NewKeyring(nil); err == nil {
		t.Error("there is a keyring without keys")
	}
	if _, err := ticket.NewKeyring([]ticket.Key{{ID: "a", Encrypt: encryptionKey("a")}, {ID: "a", Encrypt: encryptionKey("a")}}); err == nil {
		t.Error("there is a keyring with a key twice")
	}
	if _, err := ticket.NewKeyring([]ticket.Key{{ID: "a", Encrypt: []byte("short")}}); err == nil {
		t.Error("there is a keyring with a key that cannot encrypt")
	}
}

func TestSeal_LongestRecord(t *testing.T) {
	ring := newRing(t)
	const worst = "<" // JSON escapes it with six bytes
	c := &client.Client{ID: strings.Repeat("c", 64)}
	v := ticket.New(ticket.NewSecret().ID(), ticket.Request{
		Client: c, Nonce: strings.Repeat(worst, ticket.MaxNonce), Origin: "https://" + strings.Repeat("o", 253) + ":65535", Address: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"),
		Browser: strings.Repeat(worst, 100), OS: strings.Repeat(worst, 100),
		Grant: &ticket.Grant{Type: ticket.GrantCode, Issuer: "https://" + strings.Repeat("l", 253), RedirectURI: "https://" + strings.Repeat("&", 1016),
			State: strings.Repeat(worst, ticket.MaxState), Nonce: strings.Repeat(worst, ticket.MaxGrantNonce), Scope: strings.Repeat(worst, ticket.MaxScope), DPoPKey: strings.Repeat("k", 43)},
	}, "new", noon, ticketTTL)
	const link = "https://example.com/"
	user, err := ticket.User{Nickname: strings.Repeat(worst, ticket.MaxNickname),
		AvatarURL: link + strings.Repeat(worst, ticket.MaxAvatar-len(link))}.Clean()
	if err != nil {
		t.Fatal(err)
	}
	by := provider.Identity{Provider: "wechat", Realm: strings.Repeat("a", 32), Subject: strings.Repeat(worst, 200), Union: strings.Repeat(worst, 240), Token: wechatForm}
	in := confirmation(by, c)
	in.User, in.Token.Issuer = user, "https://"+strings.Repeat("l", 253)
	v = must(t)(v.Confirm(in))
	sealed := seal(t, ring, v)
	if _, err := ring.Open(v.ID, sealed); err != nil {
		t.Errorf("%d bytes: %v", len(sealed), err)
	}
	if _, _, ok := ticket.DecodeUpdate(ticket.EncodeUpdate(v.ID, sealed)); !ok {
		t.Errorf("%d bytes are no mail", len(sealed))
	}
}

func TestSeal_Oversize(t *testing.T) {
	ring := atVersion(t, newRing(t), 1)
	v := newTicket(t, demo)
	good := seal(t, ring, v)
	// The MAC is valid, so that only the length is wrong.
	padded := append(bytes.Clone(good[bytes.IndexByte(good, '{'):]), bytes.Repeat([]byte(" "), ticket.MaxSealed)...)
	mac := hmac.New(sha256.New, bytes.Repeat([]byte("snew"), 8))
	mac.Write([]byte("loginhub record 1.new."))
	mac.Write(padded)
	long := append([]byte("1.new."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil))+"."), padded...)
	refused(t, ring, v.ID, long, "too long", ticket.ErrBrokenSeal)
	v.Claims = json.RawMessage(`"` + strings.Repeat("x", ticket.MaxSealed) + `"`)
	for _, ring := range []*ticket.Keyring{ring, newRing(t)} {
		if _, err := ring.Seal(v); err == nil {
			t.Error("Seal accepted a record that is too long for Open")
		}
	}
}

func FuzzOpen(f *testing.F) {
	ring := newRing(f)
	v := full(f)
	good := string(seal(f, ring, v))
	pending := newTicket(f, demo)
	first := string(seal(f, atVersion(f, ring, 1), v))
	f.Add(good)
	f.Add(first)
	f.Add(string(seal(f, ring, pending)))
	for _, seed := range []string{"", ".", "...", "1", "1.", "1.new", "1.new.", "1.new..{}", "2.new." + strings.Repeat("A", 32) + ".", "3" + good[1:], strings.ToUpper(good), strings.Replace(first, "demo", "Demo", 1),
		"1.new." + strings.Repeat("A", 43) + ".{}", "1.gone." + strings.Repeat("A", 43) + ".{}", "1..." + good, good[:60], good + good} {
		f.Add(seed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := []byte(good)
		b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ring.Open(v.ID, []byte(in))
		switch {
		case in == good, in == first:
			if err != nil {
				t.Error(err)
			}
		case err == nil || !reflect.DeepEqual(got, ticket.Ticket{}):
			t.Errorf("%q opened as %+v (%v)", in, got, err)
		case !errors.Is(err, ticket.ErrBrokenSeal) && !errors.Is(err, ticket.ErrUnknownKey):
			t.Errorf("%q: %v", in, err)
		}
	})
}
