package ticket_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"loginhub/hub/ticket"
)

// family is one picture of seven characters, connected by joiners.
const family = "👨\u200d👩\u200d👧\u200d👦"

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
		{"<b>&amp;\"'", "<b>&amp;\"'"},         // the caller escapes, when it prints
		{strings.Repeat("明", 16), strings.Repeat("明", 16)},
		{strings.Repeat("明", 17), strings.Repeat("明", 16)},
		{strings.Repeat("a", 15) + " b", strings.Repeat("a", 15)}, // no blank at the cut
		{strings.Repeat("\u200b", 100) + "a", "a"},                // removed characters do not count
	} {
		if got := ticket.CleanText(c.in, 16); got != c.want {
			t.Errorf("%+q became %+q, want %+q", c.in, got, c.want)
		}
	}
}

func TestUser_Clean(t *testing.T) {
	const link = "https://example.com/"
	full := strings.Repeat("明", ticket.MaxNickname)
	for _, c := range []struct {
		in, want ticket.User
		err      error
	}{
		{},
		{in: ticket.User{Nickname: full}, want: ticket.User{Nickname: full}},
		{in: ticket.User{Nickname: full + "明"}, err: ticket.ErrNickname},
		{in: ticket.User{Nickname: full + "\u200b"}, err: ticket.ErrNickname}, // counted before cleaning
		{in: ticket.User{Nickname: "\u202e 小明\n"}, want: ticket.User{Nickname: "小明"}},
		{in: ticket.User{Nickname: family, AvatarURL: link + "a.png?x=1#f"}, want: ticket.User{Nickname: family, AvatarURL: link + "a.png?x=1#f"}},
		{in: ticket.User{AvatarURL: link + strings.Repeat("a", 512-len(link))}, want: ticket.User{AvatarURL: link + strings.Repeat("a", 512-len(link))}},
		{in: ticket.User{AvatarURL: link + strings.Repeat("a", 513-len(link))}, err: ticket.ErrAvatar},
		{in: ticket.User{AvatarURL: link + strings.Repeat("明", 165)}, err: ticket.ErrAvatar}, // bytes count, not characters
	} {
		got, err := c.in.Clean()
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v became %+v, %v; want %+v, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func TestUser_AvatarURL(t *testing.T) {
	for _, bad := range []string{
		"http://example.com/a", "//example.com/a", "/a", "a", "https:", "https:///a", "https://", "https://:443/",
		"https:example.com", "javascript:alert(1)", "data:image/png;base64,AA", "ftp://example.com/",
		" https://example.com/", "https://user@example.com/", "https://user:pass@example.com/", "https://example.com\\@evil.example/",
		"https://example.com/\n", "https://example.com/\x00", "https://example.com/\x7f", "https://example.com/%zz",
		"https://example.com/\u202egpj.exe", "https://exam\u200bple.com/", "https://example.com/\xff",
	} {
		if got, err := (ticket.User{AvatarURL: bad}).Clean(); !errors.Is(err, ticket.ErrAvatar) || got != (ticket.User{}) {
			t.Errorf("%+q became %+v, %v", bad, got, err)
		}
	}
	for _, good := range []string{
		"https://thirdwx.qlogo.cn/mmopen/vi_32/abc/132", "HTTPS://example.com/", "https://example.com:8443/a b", "https://例え.jp/小明.png",
	} {
		if got, err := (ticket.User{AvatarURL: good}).Clean(); err != nil || got.AvatarURL != good {
			t.Errorf("%q became %+v, %v", good, got, err)
		}
	}
}

// clean fails if the text still contains characters that could disguise it.
func clean(t *testing.T, text string, limit int) {
	t.Helper()
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > limit || strings.TrimSpace(text) != text {
		t.Errorf("left is %+q", text)
	}
	for _, r := range text {
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
		once := ticket.CleanText(in, limit)
		clean(t, once, limit)
		if twice := ticket.CleanText(once, limit); twice != once {
			t.Errorf("%+q, cleaned again, is %+q", once, twice)
		}
	})
}

func FuzzUserClean(f *testing.F) {
	f.Add("小明", "https://example.com/a")
	f.Add(strings.Repeat("a", 65), "")
	f.Add("\u202e", "https://user@example.com\\/\x00")
	f.Add(family, "javascript:alert(1)")
	f.Fuzz(func(t *testing.T, nickname, avatar string) {
		in := ticket.User{Nickname: nickname, AvatarURL: avatar}
		got, err := in.Clean()
		if err != nil {
			if got != (ticket.User{}) || !errors.Is(err, ticket.ErrNickname) && !errors.Is(err, ticket.ErrAvatar) {
				t.Errorf("refused with %v, and left %+v", err, got)
			}
			return
		}
		clean(t, got.Nickname, ticket.MaxNickname)
		if got.AvatarURL != avatar || avatar != "" && (len(avatar) > ticket.MaxAvatar || !strings.EqualFold(avatar[:8], "https://")) {
			t.Errorf("%+q passed as an avatar", got.AvatarURL)
		}
		if again, err := got.Clean(); err != nil || again != got {
			t.Errorf("cleaned again: %+v, %v", again, err)
		}
	})
}
