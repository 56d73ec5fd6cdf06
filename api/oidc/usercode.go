package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode"

	"loginhub/hub/ticket"
)

// userAlphabet has no vowels, so that no code is a word, and no characters that look
// alike (RFC 8628, section 6.1). Eight of its letters are 34 bits.
const (
	userAlphabet   = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength = 8
)

// confusable has the letter of userAlphabet that a typed character is read as.
var confusable = map[rune]rune{'0': 'Q', 'O': 'Q', '1': 'L', 'I': 'L', '2': 'Z', '5': 'S', '6': 'G', '8': 'B', 'U': 'V', 'Y': 'V'}

// newUserCode returns a random code as the person sees it, such as BCDF-GHJK.
func newUserCode() string {
	code := make([]byte, 0, userCodeLength+1)
	for len(code) < userCodeLength {
		var raw [2 * userCodeLength]byte
		rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
		for _, b := range raw {
			if b < 240 && len(code) < userCodeLength { // the largest multiple of 20, so that all letters are equally frequent
				code = append(code, userAlphabet[b%20])
			}
		}
	}
	return string(code[:4]) + "-" + string(code[4:])
}

// parseUserCode returns a typed code as newUserCode writes it; "" if it cannot be one.
// Case, spaces and dashes do not matter, characters that look alike are corrected, and
// the wide letters of Chinese keyboards count.
func parseUserCode(text string) string {
	var code strings.Builder
	for _, r := range text {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		r = unicode.ToUpper(r)
		if like, ok := confusable[r]; ok {
			r = like
		}
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Dash, r):
		case strings.ContainsRune(userAlphabet, r) && code.Len() < userCodeLength:
			code.WriteRune(r)
		default:
			return ""
		}
	}
	if code.Len() != userCodeLength {
		return ""
	}
	return code.String()[:4] + "-" + code.String()[4:]
}

// userCodeName returns the name of a code's value in the state store. Redis has the
// code's hash only.
func userCodeName(code string) string {
	sum := sha256.Sum256([]byte(code))
	return "user_code:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// maxUserCodeTries bounds how often a code is drawn again because it is in use.
const maxUserCodeTries = 5

// saveUserCode returns a new code that leads to the ticket for that time.
func (h *deviceGrant) saveUserCode(ctx context.Context, id ticket.ID, life time.Duration) (string, error) {
	for range maxUserCodeTries {
		code := newUserCode()
		// Two tickets with one code would send the person of one to the other.
		free, err := h.states.SetNX(ctx, "taken:"+userCodeName(code), life)
		if err != nil {
			return "", err
		}
		if free {
			return code, h.states.Save(ctx, userCodeName(code), []byte(id), life)
		}
	}
	return "", errors.New("user code: all drawn codes are in use")
}

// findUserCode returns the ticket of a typed code; "" if the code is malformed, unknown,
// expired, or of a ticket that waits no more.
func (h *deviceGrant) findUserCode(ctx context.Context, text string) (ticket.ID, error) {
	code := parseUserCode(text)
	if code == "" {
		return "", nil
	}
	value, err := h.states.Load(ctx, userCodeName(code))
	if err != nil || value == nil {
		return "", err
	}
	t, err := h.gate.Hub.Get(ctx, ticket.ID(value))
	switch {
	case errors.Is(err, ticket.ErrNotFound), errors.Is(err, ticket.ErrBrokenSeal):
		return "", nil
	case err != nil:
		return "", err
	case t.State != ticket.Pending && t.State != ticket.Scanned:
		return "", nil
	}
	return t.ID, nil
}
