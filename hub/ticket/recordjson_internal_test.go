package ticket

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// recordsOfLogins returns the records of logins: with every field and with few, and one
// with characters that are escaped.
func recordsOfLogins(t testing.TB) (all []Ticket) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)
	site := &client.Client{ID: "demo", NumberMatching: true, LivingCode: 2 * time.Second}
	for _, name := range []string{"小明", "a<b> \"\\\u2028\x01&"} {
		for _, from := range []Request{{Client: site}, {Client: site, Nonce: name, Address: netip.MustParseAddr("2001:db8::1"),
			Origin: "https://www.example.com", Browser: "Chrome 150", OS: "Windows", PageKey: &PageKey{1, 2, 3}}} {
			made := New(NewSecret().ID(), from, "key", now, time.Minute)
			by := provider.Identity{Provider: "wechat", Realm: "wx1", Subject: "s", Union: "u", Nickname: name, Picture: "https://p.example",
				Token: &provider.TokenForm{Prefix: "wechat"}}
			scanned, err := made.Scan(by, User{Nickname: name, AvatarURL: "https://a.example"}, now, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			confirmed, err := scanned.Confirm(Confirmation{Identity: by, Match: "1", ExpectedMatch: "1", Now: now, Sent: now,
				ResultTTL: time.Minute, Token: TokenParams{Issuer: "https://i", Client: site, TTL: time.Hour, SignKey: 1 << 31}})
			if err != nil {
				t.Fatal(err)
			}
			pictured, rejected := made, scanned.reject(ReasonWrongNumber)
			pictured.User.AvatarURL, rejected.Identity = "https://a.example", provider.Identity{Subject: "only"}
			all = append(all, made, pictured, scanned, confirmed, rejected)
		}
	}
	granted := all[0]
	granted.Grant = &Grant{Type: GrantCode, Issuer: "https://i"}
	known := all[0]
	known.Auto, known.Known = AutoOn, &KnownTags{1, 2, 3, 4, 5, 6, 7, 8}
	return append(all, granted, known)
}

func TestRecordJSON_FastPath(t *testing.T) {
	for i, v := range recordsOfLogins(t)[:10] { // of ordinary names
		body, err := appendRecord(nil, &v)
		if err != nil {
			t.Fatal(err)
		}
		if r := (recordReader{rest: body}); r.ticket().ID != v.ID || r.failed {
			t.Errorf("record %d is left to json.Unmarshal: %s", i, body)
		}
	}
}

func TestViewJSON_AsMarshal(t *testing.T) {
	for _, of := range recordsOfLogins(t) {
		v := of.View(of.CreatedAt.Time())
		with := v
		with.Token, with.TokenType, with.TokenExpiresIn, with.MatchCode = "t", "Bearer", 5, "47"
		answered := v
		answered.Answer = Answer{RedirectTo: "https://site"}
		for _, v := range []View{v, with, answered} {
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := v.AppendJSON(nil); err != nil || string(got) != string(want) {
				t.Errorf("%s %v\nwant %s", got, err, want)
			}
		}
	}
}

// FuzzRecordJSON compares reader and writer with encoding/json.
func FuzzRecordJSON(f *testing.F) {
	for _, v := range recordsOfLogins(f) {
		body, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want Ticket
		err := json.Unmarshal(body, &want)
		r := recordReader{rest: body}
		if got := r.ticket(); !r.failed && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("%s\nread as %+v\nwant    %+v %v", body, got, want, err)
		}
		if err != nil {
			return
		}
		again, err := json.Marshal(want)
		if err != nil {
			return
		}
		if want.Claims != nil { // compact, as the confirm writes them
			if want.Claims, err = json.Marshal(want.Claims); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := appendRecord(nil, &want); err != nil || string(got) != string(again) {
			t.Fatalf("written as %s %v\nwant       %s", got, err, again)
		}
	})
}
