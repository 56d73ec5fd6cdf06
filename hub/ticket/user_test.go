package ticket_test

import (
	"errors"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// family is one picture of seven characters, connected by joiners.
const family = "👨\u200d👩\u200d👧\u200d👦"

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

func FuzzUserClean(f *testing.F) {
	f.Add("小明", "https://example.com/a")
	f.Add(strings.Repeat("a", 65), "")
	f.Add("\u202e", "https://user@example.com\\/\x00")
	f.Add(family, "javascript:alert(1)")
	f.Add(family, "ftp://example.com/a")
	f.Fuzz(func(t *testing.T, nickname, avatar string) {
		in := ticket.User{Nickname: nickname, AvatarURL: avatar}
		got, err := in.Clean()
		if err != nil {
			if got != (ticket.User{}) || !errors.Is(err, ticket.ErrNickname) && !errors.Is(err, ticket.ErrAvatar) {
				t.Errorf("refused with %v, and left %+v", err, got)
			}
			return
		}
		if got.Nickname != provider.CleanText(got.Nickname, ticket.MaxNickname) {
			t.Errorf("left is %+q", got.Nickname)
		}
		if got.AvatarURL != avatar || avatar != "" && (len(avatar) > ticket.MaxAvatar || !strings.EqualFold(avatar[:8], "https://")) {
			t.Errorf("%+q passed as an avatar", got.AvatarURL)
		}
		if again, err := got.Clean(); err != nil || again != got {
			t.Errorf("cleaned again: %+v, %v", again, err)
		}
	})
}
