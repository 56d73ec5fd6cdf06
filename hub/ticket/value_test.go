package ticket_test

import (
	"errors"
	"strings"
	"testing"

	"loginhub/hub/ticket"
)

func TestSealValue(t *testing.T) {
	ring := newRing(t, "old")
	text, err := ring.SealValue("request", []byte("secret state"))
	if err != nil || strings.Contains(text, "secret") || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Fatalf("%q, %v", text, err)
	}
	if got, err := newRing(t, "new", "old").OpenValue("request", text); err != nil || string(got) != "secret state" {
		t.Errorf("under the older key: %q, %v", got, err)
	}
	if again, _ := ring.SealValue("request", []byte("secret state")); again == text {
		t.Error("two values have the same nonce")
	}
	for i := range text {
		changed := text[:i] + string('A'+('B'-text[i]+26)%26) + text[i+1:]
		if changed == text {
			continue
		}
		if _, err := ring.OpenValue("request", changed); !errors.Is(err, ticket.ErrBrokenSeal) {
			t.Fatalf("changed at %d: %v", i, err)
		}
	}
	for _, bad := range []string{"", "old", text[:len(text)-1], text + "A", "old" + strings.Repeat("A", ticket.MaxSealed)} {
		if _, err := ring.OpenValue("request", bad); !errors.Is(err, ticket.ErrBrokenSeal) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := ring.OpenValue("par", text); !errors.Is(err, ticket.ErrBrokenSeal) {
		t.Errorf("for another purpose: %v", err)
	}
	if _, err := newRing(t, "new").OpenValue("request", text); !errors.Is(err, ticket.ErrBrokenSeal) {
		t.Errorf("without the key: %v", err)
	}
}
