package ticket_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"loginhub/hub/ticket"
)

// alphabet is that of base64url (RFC 4648, section 5).
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestID_HashOfSecret(t *testing.T) {
	secret := ticket.NewSecret()
	raw, err := base64.RawURLEncoding.DecodeString(secret.Reveal())
	if err != nil || len(raw) != 32 || len(secret.Reveal()) != ticket.SecretLength {
		t.Fatalf("the secret is %d bytes (%v)", len(raw), err)
	}
	sum := sha256.Sum256(raw)
	id := secret.ID()
	if want := base64.RawURLEncoding.EncodeToString(sum[:16]); string(id) != want || len(id) != ticket.IDLength {
		t.Errorf("named %s, want %s", id, want)
	}
	// A fixed value, so that a change of the derivation fails: SHA-256 of 32 zero bytes.
	zero, err := ticket.ParseSecret(strings.Repeat("A", ticket.SecretLength))
	if err != nil || zero.ID() != "Zmh6rfhivXdsj8GLjp-OIA" {
		t.Errorf("the zero secret is %v's (%v)", string(zero.ID()), err)
	}
}

// A byte that is equal in 64 secrets is not random: the chance is one in 2^504.
func TestSecret_EveryByteIsDrawn(t *testing.T) {
	var seen [32]map[byte]bool
	for range 64 {
		raw, err := base64.RawURLEncoding.DecodeString(ticket.NewSecret().Reveal())
		if err != nil || len(raw) != len(seen) {
			t.Fatalf("%d bytes: %v", len(raw), err)
		}
		for i, b := range raw {
			if seen[i] == nil {
				seen[i] = map[byte]bool{}
			}
			seen[i][b] = true
		}
	}
	for i, values := range seen {
		if len(values) < 2 {
			t.Errorf("byte %d is always the same", i)
		}
	}
}

func TestSecret_Matches(t *testing.T) {
	mine, other := ticket.NewSecret(), ticket.NewSecret()
	if !mine.Matches(mine.ID()) || mine.Matches(other.ID()) || mine.Matches("") || mine.Matches(mine.ID()[:21]) || mine.Matches(mine.ID()+"A") {
		t.Error("opens the wrong tickets")
	}
	if mine.Reveal() == other.Reveal() {
		t.Error("two secrets are equal")
	}
	again, err := ticket.ParseSecret(mine.Reveal())
	if err != nil || again != mine {
		t.Errorf("a secret does not come back: %v", err)
	}
}

// TestID_OneSpelling checks that text is rejected if its last character sets bits that
// belong to no byte. Otherwise one id would have several spellings.
func TestID_OneSpelling(t *testing.T) {
	id, secret := ticket.NewSecret().ID(), ticket.NewSecret().Reveal()
	var ids, secrets int
	for _, last := range alphabet {
		if _, err := ticket.ParseID(string(id[:21]) + string(last)); err == nil {
			ids++
		} else if !errors.Is(err, ticket.ErrNotFound) {
			t.Errorf("last character %c: %v", last, err)
		}
		if _, err := ticket.ParseSecret(secret[:42] + string(last)); err == nil {
			secrets++
		} else if !errors.Is(err, ticket.ErrInvalidSecret) {
			t.Errorf("last character %c: %v", last, err)
		}
	}
	if ids != 4 || secrets != 16 { // 22*6 = 128+4 bits, 43*6 = 256+2 bits
		t.Errorf("%d last characters of an id are accepted, %d of a secret", ids, secrets)
	}
}

// invalidTexts returns texts that differ little from a good one. Line ends are among
// them: Go's base64 skips them, even in strict mode.
func invalidTexts(good string) []string {
	half := len(good) / 2
	return []string{
		"", good[1:], good + "A", good + "=", good[:half] + "+" + good[half+1:], good[:half] + "/" + good[half+1:],
		good[:half] + "=" + good[half+1:], good[:half] + "\n" + good[half+1:], good[:half] + "\r\n" + good[half+2:],
		good[:half] + " " + good[half+1:], good[:half] + "\x00" + good[half+1:], good[:half] + "é" + good[half+2:],
		good[:len(good)-1] + "=", good[:len(good)-1] + "B", good[:len(good)-2] + "==", "\n" + good[1:], good + "\n", strings.Repeat(good, 1000),
	}
}

func TestSecret_Redacted(t *testing.T) {
	secret := ticket.NewSecret()
	raw, err := base64.RawURLEncoding.DecodeString(secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ Secret ticket.Secret }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", holder{secret})
		fmt.Fprintf(&out, verb+"\n", []any{secret, map[string]ticket.Secret{"a": secret}})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("made", "secret", secret, "at", &secret, "in", holder{secret})
	}
	if err := json.NewEncoder(&out).Encode(holder{secret}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Error("nothing was printed")
	}
	for _, form := range []string{secret.Reveal(), fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprint(raw), fmt.Sprintf("%#v", raw)[6:]} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%.20s… is in\n%s", form, out.String())
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(strings.Repeat("A", 22))
	for _, bad := range slices.Concat(invalidTexts(strings.Repeat("A", 22)), invalidTexts(string(ticket.NewSecret().ID()))) {
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, in string) {
		id, err := ticket.ParseID(in)
		raw, decodes := base64.RawURLEncoding.Strict().DecodeString(in)
		good := decodes == nil && len(raw) == 16 && len(in) == 22
		if (err == nil) != good || good && string(id) != in || !good && (id != "" || !errors.Is(err, ticket.ErrNotFound)) {
			t.Errorf("%+q is %q, %v", in, id, err)
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add(strings.Repeat("A", 43))
	for _, bad := range slices.Concat(invalidTexts(strings.Repeat("A", 43)), invalidTexts(ticket.NewSecret().Reveal())) {
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ticket.ParseSecret(in)
		raw, decodes := base64.RawURLEncoding.Strict().DecodeString(in)
		if good := decodes == nil && len(raw) == 32 && len(in) == 43; (err == nil) != good {
			t.Errorf("%+q: %v", in, err)
		}
		if err != nil {
			if !errors.Is(err, ticket.ErrInvalidSecret) || s != (ticket.Secret{}) {
				t.Errorf("%+q: %v", in, err)
			}
			return
		}
		if _, err := ticket.ParseID(string(s.ID())); s.Reveal() != in || !s.Matches(s.ID()) || err != nil {
			t.Errorf("%+q comes back as %q (%v)", in, s.Reveal(), err)
		}
	})
}
