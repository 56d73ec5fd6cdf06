package ticket_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

var auto = &client.Client{ID: "auto", AutoMatching: true}

// newAuto returns a pending ticket of a browser that has the cookie.
func newAuto(ring *ticket.Keyring, cookie string, hidden bool) ticket.Ticket {
	return ticket.New(ticket.NewSecret().ID(), ticket.Request{Client: auto, Hidden: hidden, Known: ring.KnownUsers(cookie, auto.ID, noon)}, "new", noon, ticketTTL)
}

// cookieOf returns the cookie after logins of these users.
func cookieOf(t testing.TB, ring *ticket.Keyring, c *client.Client, users ...provider.Identity) (cookie string) {
	t.Helper()
	for _, by := range users {
		var err error
		if cookie, err = ring.Remember(cookie, ticket.Ticket{Client: c.ID, Identity: by}, noon); err != nil {
			t.Fatal(err)
		}
	}
	return cookie
}

func TestAuto_Scan(t *testing.T) {
	ring, ok := newRing(t), must(t)
	v := newAuto(ring, "", false)
	for risk, demanded := range map[ticket.Risk]bool{0: true, ticket.RiskHiddenAddress: true, ticket.RiskCountry: true, ticket.NoRisk: false} {
		scanned := ok(v.WithRisk(risk).Scan(alice, ticket.User{}, noon, confirmTTL))
		if scanned.NumberMatching != demanded || scanned.ShowsCode() != demanded {
			t.Errorf("risk %s: numbers demanded %t", risk, scanned.NumberMatching)
		}
		for _, other := range []ticket.Risk{ticket.NoRisk, ticket.RiskCountry} { // the scan has decided
			again := ok(scanned.WithRisk(other).Scan(alice, ticket.User{}, noon, confirmTTL))
			opened, err := ring.Open(v.ID, seal(t, ring, again))
			if err != nil || opened.NumberMatching != demanded || opened.Auto != ticket.AutoOn {
				t.Errorf("risk %s, then %s: %t %v", risk, other, opened.NumberMatching, err)
			}
			c := confirmation(alice, auto)
			c.Match = ""
			if _, err := opened.WithRisk(other).Confirm(c); errors.Is(err, ticket.ErrMatchMissing) != demanded {
				t.Errorf("risk %s, then a confirm with %s: %v", risk, other, err)
			}
		}
	}
}

// TestAuto_Device: a device has no cookie, and shows a number only if it gets one at the
// start.
func TestAuto_Device(t *testing.T) {
	v := ticket.New("id", ticket.Request{Client: auto, Grant: &ticket.Grant{Type: ticket.GrantDevice}}, "new", noon, ticketTTL)
	if !v.NumberMatching || v.Auto != 0 {
		t.Errorf("numbers %t, auto %d", v.NumberMatching, v.Auto)
	}
}

func TestAuto_Confirm(t *testing.T) {
	ring := newRing(t)
	known := cookieOf(t, ring, auto, alice)
	for name, c := range map[string]struct {
		v     ticket.Ticket
		check error // of Precheck
	}{
		"known":  {newAuto(ring, known, false), nil},
		"none":   {newAuto(ring, "", false), ticket.ErrScanRequired},
		"hidden": {newAuto(ring, known, true), ticket.ErrScanRequired},
	} {
		if err := c.v.Precheck(ticket.Confirm, ""); !errors.Is(err, c.check) {
			t.Errorf("%s: precheck %v", name, err)
		}
		if next, err := c.v.WithRisk(ticket.RiskNewBrowser).Confirm(confirmation(alice, auto)); !errors.Is(err, ticket.ErrScanRequired) || next.Seq != 1 {
			t.Errorf("%s: unusual, in one step: %v", name, err)
		}
		if changes, err := c.v.WithRisk(ticket.RiskCountry).Confirms(alice, "47", "47"); changes || !errors.Is(err, ticket.ErrScanRequired) {
			t.Errorf("%s: unusual, would change %t: %v", name, changes, err)
		}
		if changes, err := c.v.WithRisk(ticket.NoRisk).Confirms(alice, "", "47"); !changes || err != nil {
			t.Errorf("%s: usual, would change %t: %v", name, changes, err)
		}
		if next, err := c.v.WithRisk(ticket.NoRisk).Confirm(confirmation(alice, auto)); err != nil || next.State != ticket.Confirmed {
			t.Errorf("%s: usual, in one step: %v", name, err)
		}
	}
}

// TestKnown: who is known to a browser, by its cookie and the nodes' keys.
func TestKnown(t *testing.T) {
	ring, other := newRing(t), &client.Client{ID: "other"}
	elsewhere, crowd := alice, []provider.Identity{alice}
	elsewhere.Realm = "wx2"
	for range 4 {
		crowd = append(crowd, provider.Identity{Provider: "sandbox", Subject: ticket.NewSecret().Reveal()})
	}
	full := cookieOf(t, ring, auto, alice)
	for range 20 { // of other clients, of which the oldest go
		full, _ = ring.Remember(full, ticket.Ticket{Client: ticket.NewSecret().Reveal(), Identity: bob}, noon)
	}
	valid := cookieOf(t, ring, auto, alice)
	foreign, _ := ring.SealValue("request", make([]byte, 16))
	for name, c := range map[string]struct {
		cookie string
		open   *ticket.Keyring
		by     provider.Identity
		known  bool
	}{
		"the user":                {valid, ring, alice, true},
		"on another node":         {valid, newRing(t), alice, true},
		"among others":            {cookieOf(t, ring, auto, bob, alice, carol), ring, alice, true},
		"another user":            {valid, ring, bob, false},
		"another application":     {valid, ring, elsewhere, false},
		"another client":          {cookieOf(t, ring, other, alice), ring, alice, false},
		"four others since":       {cookieOf(t, ring, auto, crowd...), ring, alice, false},
		"twenty others since":     {full, ring, alice, false},
		"a later key in front":    {cookieOf(t, newRing(t, "old"), auto, alice), newRing(t, "new", "old"), alice, true},
		"the key is gone":         {cookieOf(t, newRing(t, "old"), auto, alice), newRing(t, "new"), alice, false},
		"no cookie":               {"", ring, alice, false},
		"cut off":                 {valid[:len(valid)-1], ring, alice, false},
		"another value":           {foreign, ring, alice, false},
		"the provider is another": {valid, ring, carol, false},
	} {
		v := newAuto(c.open, c.cookie, false)
		if got := c.open.Knows(v, c.by); got != c.known {
			t.Errorf("%s: known %t", name, got)
		}
		opened, err := c.open.Open(v.ID, seal(t, c.open, v))
		if err != nil || c.open.Knows(opened, c.by) != c.known {
			t.Errorf("%s, of the record: %v", name, err)
		}
		if len(c.cookie) > 500 {
			t.Errorf("%s: a cookie of %d bytes", name, len(c.cookie))
		}
	}
	if len(ring.KnownUsers(valid, auto.ID, noon.Add(ticket.KnownLife-time.Second))) == 0 || len(ring.KnownUsers(valid, auto.ID, noon.Add(ticket.KnownLife))) > 0 {
		t.Error("the cookie does not end after KnownLife")
	}
	rotated := cookieOf(t, newRing(t, "old"), auto, alice)
	rotated, _ = newRing(t, "new", "old").Remember(rotated, ticket.Ticket{Client: auto.ID, Identity: alice}, noon)
	if tags := newRing(t, "new", "old").KnownUsers(rotated, auto.ID, noon); len(tags) != 8 {
		t.Errorf("after a login under the later key there are %d bytes of tags", len(tags))
	}
	if elsewhere := cookieOf(t, ring, other, alice); bytes.Equal(ring.KnownUsers(elsewhere, other.ID, noon), ring.KnownUsers(valid, auto.ID, noon)) {
		t.Error("a user has one tag at two clients")
	}
	if again := cookieOf(t, ring, auto, alice, alice); len(again) != len(valid) {
		t.Error("a second login adds an entry")
	}
}

// FuzzKnown: what is inside a sealed cookie, and any text in place of one.
func FuzzKnown(f *testing.F) {
	ring := newRing(f)
	f.Add([]byte{}, cookieOf(f, ring, auto, alice))
	f.Add(make([]byte, 32), "new")
	f.Add(make([]byte, 17), "new")
	f.Fuzz(func(t *testing.T, inside []byte, text string) {
		sealed, err := ring.SealValue("known browser", inside)
		if err != nil {
			t.Fatal(err)
		}
		if tags := ring.KnownUsers(sealed, auto.ID, noon); len(tags)%8 != 0 || len(tags) > 32 || len(inside)%16 != 0 && tags != nil {
			t.Errorf("%x: tags %x", inside, tags)
		}
		if tags := ring.KnownUsers(text, auto.ID, noon); tags != nil {
			if _, err := ring.OpenValue("known browser", text); err != nil {
				t.Errorf("%q: tags %x", text, tags)
			}
		}
	})
}
