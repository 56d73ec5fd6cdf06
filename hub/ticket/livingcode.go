package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A living code is a QR code that changes every few seconds, so that a photo of it is
// worthless soon. What changes is the frame: the number of whole steps since the ticket was
// created, in decimal, a dot, and frameMAC bytes in base64url of the HMAC-SHA256 of that
// number under the ticket's frame key. The page has the key, so it makes frames itself.

const frameMAC = 8 // bytes of a frame's MAC

var (
	// ErrCodeStale means that a phone did not read the ticket's living code, or read it too
	// long ago.
	ErrCodeStale = errors.New("the frame is missing, or not of this ticket's living code")
	// ErrFrameOld is the ErrCodeStale of a frame that was once valid: somebody kept the code.
	ErrFrameOld = fmt.Errorf("the frame is too old: %w", ErrCodeStale)
)

// FrameKey returns the key of the frames of the ticket's living code; nil if it has none.
func (r *Keyring) FrameKey(t Ticket) ([]byte, error) {
	if t.FrameStep == 0 {
		return nil, nil
	}
	k, ok := r.keys[t.Key]
	if !ok {
		return nil, fmt.Errorf("frame key: %w", ErrUnknownKey)
	}
	mac := hmac.New(sha256.New, k.Frame)
	mac.Write([]byte(t.ID))
	return mac.Sum(nil), nil
}

// Frame returns a frame under a ticket's frame key.
func Frame(key []byte, number int64) string {
	text := strconv.FormatInt(number, 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:frameMAC])
}

var frameForm = regexp.MustCompile(`^[0-9]{1,5}\.[A-Za-z0-9_-]{11}$`)

// IsFrame reports whether the text has the form of a frame.
func IsFrame(text string) bool { return frameForm.MatchString(text) }

// CheckFrame returns ErrCodeStale unless a phone may scan the ticket at that time with the
// frame, "" for none: at most one step before its step begins, and at most window after its
// step has ended. A ticket that is no longer pending takes every frame, so that a repeated
// call gets the same answer.
func (r *Keyring) CheckFrame(t Ticket, frame string, now time.Time, window time.Duration) error {
	key, err := r.FrameKey(t)
	if err != nil || key == nil || t.State != Pending {
		return err
	}
	digits, _, _ := strings.Cut(frame, ".")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !IsFrame(frame) || !hmac.Equal([]byte(frame), []byte(Frame(key, number))) {
		return ErrCodeStale
	}
	step := time.Duration(t.FrameStep) * time.Second
	begin := t.CreatedAt.Time().Add(time.Duration(number) * step)
	switch {
	case begin.Sub(now) > step:
		return fmt.Errorf("the frame is of the future, the clocks differ: %w", ErrCodeStale)
	case now.Sub(begin.Add(step)) > window:
		return ErrFrameOld
	}
	return nil
}
