package ticket

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what the phone sends about its user.
const (
	MaxNickname = 64  // characters
	MaxAvatar   = 512 // bytes
)

// User is what the phone sends about its user: a claim, shown and never trusted.
type User struct {
	Nickname  string `json:"nickname,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
}

// ErrNickname and ErrAvatar name the claim that is out of bounds.
var (
	ErrNickname = errors.New("user.nickname is longer than 64 characters")
	ErrAvatar   = errors.New("user.avatar_url is not an https URL of at most 512 bytes")
)

// Clean checks the limits and removes characters that could disguise the text: control
// and bidirectional ones.
func (u User) Clean() (User, error) {
	if utf8.RuneCountInString(u.Nickname) > MaxNickname {
		return User{}, ErrNickname
	}
	u.Nickname = CleanText(u.Nickname, MaxNickname)
	if u.AvatarURL == "" {
		return u, nil
	}
	parsed, err := url.Parse(u.AvatarURL)
	if err != nil || len(u.AvatarURL) > MaxAvatar || !utf8.ValidString(u.AvatarURL) ||
		parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil ||
		strings.ContainsFunc(u.AvatarURL, isInvisible) {
		return User{}, ErrAvatar
	}
	return u, nil
}

// CleanText returns at most limit characters of s, trimmed, without control, format,
// bidirectional and unassigned characters.
func CleanText(s string, limit int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if isInvisible(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:limit]))
}

// isInvisible reports whether a character is invisible and changes how the rest is read.
// Joiners are not counted: emoji families and several scripts need them.
func isInvisible(r rune) bool {
	const zwnj, zwj = '\u200c', '\u200d'
	if r == zwnj || r == zwj {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Bidi_Control)
}
