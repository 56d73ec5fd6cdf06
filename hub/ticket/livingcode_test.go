package ticket_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// The key and the frame of api/PROTOCOL.md, computed with OpenSSL. Pages make frames too, so
// the form must never change.
func TestFrame_Documented(t *testing.T) {
	key, err := base64.RawURLEncoding.DecodeString("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	if err != nil {
		t.Fatal(err)
	}
	if got := ticket.Frame(key, 12); got != "12.5Uc959Yrvow" || !ticket.IsFrame(got) {
		t.Errorf("%s", got)
	}
}

func TestCheckFrame_Window(t *testing.T) {
	const step, window = 2 * time.Second, 20 * time.Second
	site := &client.Client{ID: "demo", LivingCode: step, LivingCodeWindow: window}
	ring, v, other := newRing(t), newTicket(t, site), newTicket(t, site)
	frame := func(of ticket.Ticket, n int64) string {
		key, err := ring.FrameKey(of)
		if err != nil {
			t.Fatal(err)
		}
		return ticket.Frame(key, n)
	}
	mac := frame(v, 1)[1:]
	for name, c := range map[string]struct {
		frame string
		age   time.Duration // of the ticket
		want  error
	}{
		"fresh":               {frame(v, 0), 0, nil},
		"one step ahead":      {frame(v, 3), 4 * time.Second, nil}, // the page's clock may be before Redis's
		"two steps ahead":     {frame(v, 4), 4*time.Second - 1, ticket.ErrCodeStale},
		"before the ticket":   {frame(v, 0), -step - 1, ticket.ErrCodeStale}, // the clock was set back
		"at the window's end": {frame(v, 3), 8*time.Second + window, nil},
		"after the window":    {frame(v, 3), 8*time.Second + window + 1, ticket.ErrFrameOld},
		"another ticket's":    {frame(other, 1), 2 * time.Second, ticket.ErrCodeStale},
		"another number":      {"2" + mac, 4 * time.Second, ticket.ErrCodeStale},
		"leading zero":        {"01" + mac, 2 * time.Second, ticket.ErrCodeStale},
		"sign":                {"+1" + mac, 2 * time.Second, ticket.ErrCodeStale},
		"padding":             {"1" + mac + "=", 2 * time.Second, ticket.ErrCodeStale},
		"no MAC":              {"1", 2 * time.Second, ticket.ErrCodeStale},
		"huge":                {"99999999999999999999" + mac, 2 * time.Second, ticket.ErrCodeStale},
		"negative":            {frame(v, -1), 0, ticket.ErrCodeStale},
		"none":                {"", 0, ticket.ErrCodeStale},
	} {
		err := ring.CheckFrame(v, c.frame, noon.Add(c.age), window)
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || errors.Is(err, ticket.ErrFrameOld) != (c.want == ticket.ErrFrameOld) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, state := range []ticket.State{ticket.Scanned, ticket.Confirmed, ticket.Consumed, ticket.Rejected, ticket.Expired} {
		if v.State = state; ring.CheckFrame(v, "", noon, window) != nil {
			t.Errorf("a %s ticket needs a frame", state)
		}
	}
	if plain := newTicket(t, demo); ring.CheckFrame(plain, "x", noon.Add(time.Hour), window) != nil {
		t.Error("a ticket without a living code needs a frame")
	}
	if v.State, v.Key = ticket.Pending, "unknown"; !errors.Is(ring.CheckFrame(v, frame(other, 0), noon, window), ticket.ErrUnknownKey) {
		t.Error("a node without the ticket's key decides")
	}
}
