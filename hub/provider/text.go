package provider

import (
	"net/url"
	"regexp"
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

// flagTags matches the flag of a part of a country, such as Scotland: a black flag, and letters as
// characters that are not visible by themselves (Unicode Technical Standard 51, ED-14a).
var flagTags = regexp.MustCompile(`\x{1F3F4}[\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]{1,6}\x{E007F}`)

// CleanText returns at most limit characters of s, trimmed, without control, format,
// bidirectional and unassigned characters. A text of which nothing would be visible is "".
func CleanText(s string, limit int) string {
	s = strings.ToValidUTF8(s, "")
	var b strings.Builder
	at := 0
	for _, flag := range flagTags.FindAllStringIndex(s, -1) {
		b.WriteString(withoutInvisible(s[at:flag[0]]))
		b.WriteString(s[flag[0]:flag[1]])
		at = flag[1]
	}
	b.WriteString(withoutInvisible(s[at:]))
	// A joiner or a variation selector belongs to the character before it, so it stays at the end.
	s = strings.TrimRightFunc(strings.TrimLeftFunc(b.String(), isBlank), isSpace)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return CleanText(string([]rune(s)[:limit]), limit)
}

func withoutInvisible(s string) string {
	return strings.Map(func(r rune) rune {
		if isInvisible(r) {
			return -1
		}
		return r
	}, s)
}

// isSpace reports whether a character takes room and shows nothing: spaces, the Hangul fillers
// and the empty Braille pattern.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("\u115f\u1160\u2800\u3164\uffa0", r)
}

// isBlank reports whether a character shows nothing without one before it.
func isBlank(r rune) bool {
	return isSpace(r) || unicode.In(r, unicode.Mn, unicode.Me, unicode.Join_Control, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
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
