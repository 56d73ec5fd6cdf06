package provider

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on the names of a user, from a provider or a phone.
const (
	MaxNickname = 64  // characters
	MaxPicture  = 512 // bytes
)

// IsPicture reports whether the text is an https URL of at most MaxPicture bytes,
// without user and without characters that could disguise it.
func IsPicture(text string) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= MaxPicture && utf8.ValidString(text) &&
		u.Scheme == "https" && u.Hostname() != "" && u.User == nil && !strings.ContainsFunc(text, isInvisible)
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
