package ticket_test

import (
	"bytes"
	"strings"
	"testing"

	"loginhub/hub/ticket"
)

func TestProbe_RoundTrip(t *testing.T) {
	for master := range 1000 {
		nonce, from, ok := ticket.DecodeProbe(ticket.EncodeProbe("Ab-_09xyzXYZ", master))
		if !ok || nonce != "Ab-_09xyzXYZ" || from != master {
			t.Fatalf("read %v %q %d for %d", ok, nonce, from, master)
		}
	}
}

func TestMessage_Invalid(t *testing.T) {
	id := string(ticket.NewSecret().ID())
	for _, bad := range []string{
		"", "t", "t" + id, "T" + id + "x", id + "x", "x" + id + "record", " t" + id + "record",
		string(ticket.EncodeProbe("a-nonce-that-is-as-long-as-an-id-is", 0)),
	} {
		if got, _, ok := ticket.DecodeUpdate([]byte(bad)); ok {
			t.Errorf("%.60q decodes as an update of %q", bad, got)
		}
	}
	if _, _, ok := ticket.DecodeUpdate([]byte("t" + id + "2." + strings.Repeat("x", 2*ticket.MaxSealed))); !ok {
		t.Error("an update of a later version, which may be longer, is refused")
	}
	for _, bad := range []string{
		"", "p", "pnonce", "pnonce.", "pnonce.x", "pnonce.-1", "pnonce.1.2", "pnonce. 1", "pnonce.1 ", "P" + "nonce.1", "nonce.1",
		"pnonce.99999999999999999999", "p" + strings.Repeat("n", 62) + ".1",
		string(ticket.EncodeUpdate(ticket.ID(id), []byte("1.k.m.{}"))),
	} {
		if nonce, n, ok := ticket.DecodeProbe([]byte(bad)); ok {
			t.Errorf("%q decodes as a probe with nonce %q of master %d", bad, nonce, n)
		}
	}
}

func FuzzDecodeUpdate(f *testing.F) {
	id := ticket.NewSecret().ID()
	f.Add(ticket.EncodeUpdate(id, []byte("1.new.mac.{}")))
	f.Add(ticket.EncodeProbe("nonce", 1))
	f.Add([]byte("t" + id))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, m []byte) {
		id, sealed, ok := ticket.DecodeUpdate(m)
		if !ok {
			if id != "" || sealed != nil {
				t.Errorf("%q is refused and read as %q %q", m, id, sealed)
			}
			return
		}
		if len(id) != ticket.IDLength || len(sealed) == 0 || len(sealed) > ticket.MaxSealed || !bytes.Equal(ticket.EncodeUpdate(id, sealed), m) {
			t.Errorf("%q is read as %q %q", m, id, sealed)
		}
	})
}

func FuzzDecodeProbe(f *testing.F) {
	f.Add(ticket.EncodeProbe("nonce", 0))
	f.Add(ticket.EncodeProbe("", 1))
	f.Add([]byte("p.+1"))
	f.Add([]byte("pa.b.1"))
	f.Add([]byte("p" + strings.Repeat("9", 70)))
	f.Fuzz(func(t *testing.T, m []byte) {
		nonce, master, ok := ticket.DecodeProbe(m)
		if !ok {
			return
		}
		again, from, ok := ticket.DecodeProbe(ticket.EncodeProbe(nonce, master))
		if !ok || again != nonce || from != master || master < 0 || len(m) > 64 || strings.Contains(nonce, ".") {
			t.Errorf("%q is read as %q from %d", m, nonce, master)
		}
	})
}
