package ticket

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"loginhub/hub/provider"
)

// The JSON of a record and of a view, written and read without reflection: a login writes four and reads
// five, and encoding/json took most of their time. The bytes are those of json.Marshal.
// The reader takes only what this writer writes, in its order and without escapes;
// json.Unmarshal reads everything else, such as a record of another release. A fuzz test
// compares both with encoding/json.

// appendRecord appends json.Marshal(t). Claims must be compact, as json.Marshal leaves
// them.
func appendRecord(b []byte, t *Ticket) ([]byte, error) {
	b = appendString(append(b, `{"ticket":`...), string(t.ID))
	b = appendString(append(b, `,"client":`...), t.Client)
	b = appendField(b, `,"nonce":`, t.Nonce)
	if t.Address.IsValid() {
		b = appendString(append(b, `,"address":`...), t.Address.String())
	}
	b = appendField(b, `,"origin":`, t.Origin)
	b = appendField(b, `,"browser":`, t.Browser)
	b = appendField(b, `,"os":`, t.OS)
	if t.NumberMatching {
		b = append(b, `,"match":true`...)
	}
	b = appendNumber(b, `,"auto":`, int64(t.Auto))
	b = appendNumber(b, `,"frame_step":`, int64(t.FrameStep))
	if t.Reason != 0 {
		b = appendString(append(b, `,"reason":`...), t.Reason.String())
	}
	b = appendNumber(b, `,"sign":`, int64(t.SignKey))
	b, err := appendTime(append(b, `,"made_at":`...), t.CreatedAt.Time())
	if err != nil {
		return nil, err
	}
	b = appendString(append(b, `,"kid":`...), t.Key)
	b = appendString(append(b, `,"state":`...), string(t.State))
	b = strconv.AppendInt(append(b, `,"seq":`...), t.Seq, 10)
	if b, err = appendTime(append(b, `,"deadline":`...), t.Deadline); err != nil {
		return nil, err
	}
	if by := t.Identity; by != (provider.Identity{}) {
		b = appendString(append(b, `,"by":{"provider":`...), by.Provider)
		b = appendField(b, `,"appid":`, by.Realm)
		b = appendString(append(b, `,"subject":`...), by.Subject)
		b = appendField(b, `,"unionid":`, by.Union)
		b = appendField(b, `,"nickname":`, by.Nickname)
		b = append(appendField(b, `,"picture":`, by.Picture), '}')
	}
	if t.User != (User{}) {
		b = appendUser(append(b, `,"user":`...), DisplayUser{User: t.User})
	}
	if len(t.Claims) > 0 {
		b = append(append(b, `,"claims":`...), t.Claims...)
	}
	b = appendNumber(b, `,"confirmed_us":`, t.ConfirmedAt)
	if t.Grant != nil {
		grant, err := json.Marshal(t.Grant)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"grant":`...), grant...)
	}
	if t.PageKey != nil {
		b = strict.AppendEncode(append(b, `,"page_key":"`...), t.PageKey[:])
		b = append(b, '"')
	}
	if t.Known != nil {
		b = base64.StdEncoding.AppendEncode(append(b, `,"known":"`...), *t.Known)
		b = append(b, '"')
	}
	return append(b, '}'), nil
}

// AppendJSON appends json.Marshal(v).
func (v View) AppendJSON(b []byte) ([]byte, error) {
	if v.Answer != (Answer{}) {
		text, err := json.Marshal(v)
		return append(b, text...), err
	}
	b = appendString(append(b, `{"ticket":`...), string(v.Ticket))
	b = appendString(append(b, `,"state":`...), string(v.State))
	b = strconv.AppendInt(append(b, `,"seq":`...), v.Seq, 10)
	b = appendNumber(b, `,"expires_in":`, v.ExpiresIn)
	if v.Reason != 0 {
		b = appendString(append(b, `,"reason":`...), v.Reason.String())
	}
	if v.User != nil {
		b = appendUser(append(b, `,"user":`...), *v.User)
	}
	b = appendField(b, `,"match_code":`, v.MatchCode)
	b = appendField(b, `,"token":`, v.Token)
	b = appendField(b, `,"token_type":`, v.TokenType)
	return append(appendNumber(b, `,"token_expires_in":`, v.TokenExpiresIn), '}'), nil
}

// appendUser appends json.Marshal(u).
func appendUser(b []byte, u DisplayUser) []byte {
	start := len(b)
	b = appendField(b, `,"nickname":`, u.Nickname)
	b = appendField(b, `,"avatar_url":`, u.AvatarURL)
	if u.Verified {
		b = append(b, `,"verified":true`...)
	}
	b = append(b, '}')
	if b[start] == ',' {
		b[start] = '{'
		return b
	}
	return append(b[:start], "{}"...)
}

// appendField appends a name and a string, unless that is empty.
func appendField(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, name...), s)
}

// appendNumber appends a name and a number, unless that is 0.
func appendNumber(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), n, 10)
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

// appendString appends json.Marshal(s).
func appendString(b []byte, s string) []byte {
	if !isPlain(s) {
		quoted, _ := json.Marshal(s) // never fails for a string
		return append(b, quoted...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// isPlain reports whether the JSON of s, as json.Marshal writes it, is s in quotes.
func isPlain[T string | []byte](s T) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	// U+2028 and U+2029 are escaped too.
	return ascii || utf8.ValidString(string(s)) && !strings.Contains(string(s), "\u2028") && !strings.Contains(string(s), "\u2029")
}

// parseRecord is json.Unmarshal into a Ticket. key is the id of the key that sealed the record.
func parseRecord(body []byte, key string) (t Ticket, err error) {
	r := recordReader{rest: body, known: [...]string{key, string(Pending), string(Scanned), string(Confirmed)}}
	if t = r.ticket(); !r.failed {
		return t, nil
	}
	t = Ticket{}
	if err := json.Unmarshal(body, &t); err != nil {
		return Ticket{}, fmt.Errorf("sealed record: %w: %w", err, ErrUnknownVersion) // a node has sealed it: one of a later release
	}
	return t, nil
}

// recordReader reads what appendRecord writes. failed means that it found anything else.
type recordReader struct {
	rest   []byte
	failed bool
	known  [4]string // texts that are not allocated again
}

func (r *recordReader) ticket() (t Ticket) {
	t.ID = ID(r.required(`{"ticket":`))
	t.Client = r.required(`,"client":`)
	t.Nonce = r.optional(`,"nonce":`)
	if text := r.optional(`,"address":`); text != "" {
		var err error
		t.Address, err = netip.ParseAddr(text)
		r.check(err == nil)
	}
	t.Origin = r.optional(`,"origin":`)
	t.Browser = r.optional(`,"browser":`)
	t.OS = r.optional(`,"os":`)
	t.NumberMatching = r.take(`,"match":true`)
	if r.take(`,"auto":`) {
		n := r.number()
		t.Auto = AutoMatching(n)
		r.check(int64(t.Auto) == n)
	}
	if r.take(`,"frame_step":`) {
		n := r.number()
		t.FrameStep = uint8(n)
		r.check(int64(t.FrameStep) == n)
	}
	if text := r.optional(`,"reason":`); text != "" {
		r.check(t.Reason.UnmarshalText([]byte(text)) == nil)
	}
	if r.take(`,"sign":`) {
		n := r.number()
		t.SignKey = uint32(n)
		r.check(int64(t.SignKey) == n)
	}
	t.CreatedAt = Instant(r.time(`,"made_at":`).UnixMilli())
	t.Key = r.required(`,"kid":`)
	t.State = State(r.required(`,"state":`))
	r.check(r.take(`,"seq":`))
	t.Seq = r.number()
	t.Deadline = r.time(`,"deadline":`)
	if r.take(`,"by":{"provider":`) {
		t.Identity = provider.Identity{Provider: r.text(), Realm: r.optional(`,"appid":`), Subject: r.required(`,"subject":`),
			Union: r.optional(`,"unionid":`), Nickname: r.optional(`,"nickname":`), Picture: r.optional(`,"picture":`)}
		r.check(r.take(`}`))
	}
	switch {
	case r.take(`,"user":{"nickname":`):
		t.User = User{r.text(), r.optional(`,"avatar_url":`)}
		r.check(r.take(`}`))
	case r.take(`,"user":{"avatar_url":`):
		t.User.AvatarURL = r.text()
		r.check(r.take(`}`))
	}
	if r.take(`,"claims":`) {
		t.Claims = r.object()
	}
	if r.take(`,"confirmed_us":`) {
		t.ConfirmedAt = r.number()
	}
	if r.take(`,"page_key":`) {
		t.PageKey = new(PageKey)
		r.check(t.PageKey.UnmarshalText(r.quoted()) == nil)
	}
	if r.take(`,"known":`) {
		tags, err := base64.StdEncoding.Strict().DecodeString(r.text())
		t.Known = (*KnownTags)(&tags)
		r.check(err == nil)
	}
	r.check(string(r.rest) == "}") // a grant is left to json.Unmarshal
	return t
}

func (r *recordReader) check(ok bool) { r.failed = r.failed || !ok }

// take skips the given bytes and reports whether they were next.
func (r *recordReader) take(next string) bool {
	if len(r.rest) < len(next) || string(r.rest[:len(next)]) != next {
		return false
	}
	r.rest = r.rest[len(next):]
	return true
}

// text reads a string without escapes.
func (r *recordReader) text() string {
	quoted := r.quoted()
	for _, known := range r.known {
		if string(quoted) == known {
			return known
		}
	}
	return string(quoted)
}

// quoted is text, valid until the body is changed.
func (r *recordReader) quoted() []byte {
	if r.failed || !r.take(`"`) {
		r.failed = true
		return nil
	}
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 || !isPlain(r.rest[:end]) {
		r.failed = true
		return nil
	}
	s := r.rest[:end]
	r.rest = r.rest[end+1:]
	return s
}

func (r *recordReader) required(name string) string {
	r.check(r.take(name))
	return r.text()
}

// optional returns "" if the name is not next.
func (r *recordReader) optional(name string) string {
	if !r.take(name) {
		return ""
	}
	return r.text()
}

func (r *recordReader) time(name string) (t time.Time) {
	r.check(r.take(name))
	r.check(t.UnmarshalText(r.quoted()) == nil)
	return t
}

// number reads a whole number from 1 to 18 digits, without a leading zero.
func (r *recordReader) number() (n int64) {
	digits := 0
	for digits < len(r.rest) && digits < 19 && r.rest[digits]-'0' <= 9 {
		n = n*10 + int64(r.rest[digits]-'0')
		digits++
	}
	r.check(digits > 0 && digits < 19 && (r.rest[0] != '0' || digits == 1))
	r.rest = r.rest[digits:]
	return n
}

// object reads an object and returns a copy of its JSON.
func (r *recordReader) object() json.RawMessage {
	depth, quoted := 0, false
	for i := 0; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '\\':
			i++ // only within a string; json.Valid checks it
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			depth--
		}
		if depth == 0 {
			raw := r.rest[:i+1]
			r.check(i > 0 && json.Valid(raw))
			r.rest = r.rest[i+1:]
			return bytes.Clone(raw)
		}
	}
	r.failed = true
	return nil
}
