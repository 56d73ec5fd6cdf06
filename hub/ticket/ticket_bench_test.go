package ticket_test

import (
	"net/netip"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// scannedTicket returns a ticket in the state in which nodes read it most often.
func scannedTicket(b *testing.B) (*ticket.Keyring, ticket.Ticket, []byte) {
	b.Helper()
	ring, err := ticket.NewKeyring([]ticket.Key{{ID: "0123456789ab", Seal: make([]byte, 32), Encrypt: make([]byte, 32), Match: make([]byte, 32)}})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	t := ticket.New(ticket.NewSecret().ID(), ticket.Request{Client: &client.Client{ID: "demo"}, Nonce: "A1b2C3d4E5f6",
		Address: netip.MustParseAddr("203.0.113.7"), Browser: "Chrome 150", OS: "Windows"}, ring.Current(), now, time.Minute)
	by := provider.Identity{Provider: "wechat", Realm: "wx0123456789abcdef", Subject: "oABCDEFGHIJKLMNOPQRSTUVWXYZ0", Token: wechatForm}
	if t, err = t.Scan(by, ticket.User{Nickname: "小明"}, now, time.Minute); err != nil {
		b.Fatal(err)
	}
	sealed, err := ring.Seal(t)
	if err != nil {
		b.Fatal(err)
	}
	return ring, t, sealed
}

func BenchmarkSeal(b *testing.B) {
	ring, t, _ := scannedTicket(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Seal(t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	ring, t, sealed := scannedTicket(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Open(t.ID, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkView(b *testing.B) {
	_, t, _ := scannedTicket(b)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.View(now).AppendJSON(nil); err != nil {
			b.Fatal(err)
		}
	}
}
