package ticket

import "time"

// Instant is a time in milliseconds since 1970. In JSON it is the text of RFC 3339. It
// takes 8 bytes of every waiting ticket, and a time.Time takes 24.
type Instant int64

// Time returns the time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// MarshalText implements encoding.TextMarshaler.
func (i Instant) MarshalText() ([]byte, error) { return i.Time().MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Instant) UnmarshalText(text []byte) error {
	var t time.Time
	err := t.UnmarshalText(text)
	*i = Instant(t.UnixMilli())
	return err
}
