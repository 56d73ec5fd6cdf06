package provider_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"loginhub/hub/provider"
)

// family is one picture of seven characters, connected by joiners.
const family = "👨\u200d👩\u200d👧\u200d👦"

// england is one picture: a flag with the letters gbeng.
const england = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

func TestCleanText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"小明", "小明"},
		{"", ""},
		{"  two  words ", "two  words"},
		{"line\nfeed\r\ttab", "linefeedtab"},
		{"nul\x00bell\a", "nulbell"},
		{"del\u007fc1\u0085\u009b", "delc1"},
		{"\u202ecod.exe", "cod.exe"},                       // right-to-left override
		{"a\u202a\u202b\u202c\u202db", "ab"},               // embeddings
		{"a\u2066\u2067\u2068\u2069b", "ab"},               // isolates
		{"a\u200e\u200f\u061cb", "ab"},                     // direction marks
		{"ze\u200bro\u2060wi\ufeffdth\u00ad", "zerowidth"}, // zero width space, word joiner, BOM, soft hyphen
		{"line\u2028para\u2029graph", "lineparagraph"},
		{"pri\ue000vate\U000f0000", "private"},
		{"tag\U000e0041\U000e007f", "tag"},
		{"bad\xffutf\xc0\x808", "badutf8"},     // and an overlong NUL
		{"half\xe6\x98", "half"},               // a character cut in the middle
		{"sur\xed\xa0\x80rogate", "surrogate"}, // not UTF-8 either
		{family, family},                       // joiners stay
		{"👍🏽 ❤️ 🇨🇳", "👍🏽 ❤️ 🇨🇳"},               // and modifiers, variation selectors, flags
		{"می\u200cخواهم", "می\u200cخواهم"},     // Persian is written with the non-joiner
		{"\u00a0\u3000小明\u3000", "小明"},         // blanks of other scripts
		{"\u202e \u200b", ""},                  // empty after cleaning
		{"\u202e 小明 \u200b", "小明"},             // blanks next to removed characters
		{"\u3164", ""}, {"\u2800\u2800", ""}, {"\u115f\u1160 \uffa0", ""}, {"\u200d\u200c", ""}, {"\ufe0f", ""}, {"\U000e0100", ""},
		{"\u034f\u180b\u17b4", ""}, {"\u0301\u20dd", ""}, {"\U000e0061\U000e007f", ""}, // nothing visible
		{"\u3164Ann\u2800", "Ann"}, {"Zoe\u0308", "Zoe\u0308"}, {"❤\ufe0f", "❤\ufe0f"},
		{england, england}, {"a" + england + "b", "a" + england + "b"}, // its letters stay
		{"🏴\U000e0067\U000e0062", "🏴"}, {"a\U000e0067\U000e007f", "a"}, // a flag without an end, and no flag
		{strings.Repeat("a", 12) + england, strings.Repeat("a", 12) + "🏴"}, // cut
		{"<b>&amp;\"'", "<b>&amp;\"'"},                                     // the caller escapes, when it prints
		{strings.Repeat("明", 16), strings.Repeat("明", 16)},
		{strings.Repeat("明", 17), strings.Repeat("明", 16)},
		{strings.Repeat("a", 15) + " b", strings.Repeat("a", 15)}, // no blank at the cut
		{strings.Repeat("\u200b", 100) + "a", "a"},                // removed characters do not count
	} {
		if got := provider.CleanText(c.in, 16); got != c.want {
			t.Errorf("%+q became %+q, want %+q", c.in, got, c.want)
		}
	}
}

// clean fails if the text still contains characters that could disguise it.
func clean(t *testing.T, text string, limit int) {
	t.Helper()
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > limit || strings.TrimSpace(text) != text {
		t.Errorf("left is %+q", text)
	}
	for _, r := range strings.ReplaceAll(text, england, "") {
		if r != '\u200c' && r != '\u200d' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Bidi_Control, unicode.Zl, unicode.Zp)) {
			t.Errorf("%U is left of %+q", r, text)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	for _, seed := range []string{"", "小明", family, " \u202ea\x00\xff\u2028 ", strings.Repeat("👍🏽 ", 30), "a\u0301\ufeff"} {
		f.Add(seed, 16)
	}
	f.Fuzz(func(t *testing.T, in string, limit int) {
		limit = int(uint(limit) % 100)
		once := provider.CleanText(in, limit)
		clean(t, once, limit)
		if twice := provider.CleanText(once, limit); twice != once {
			t.Errorf("%+q, cleaned again, is %+q", once, twice)
		}
	})
}
