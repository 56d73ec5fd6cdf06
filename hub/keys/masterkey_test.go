package keys_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"loginhub/hub/keys"
)

// Two master keys: the bytes 0 to 31, and 32 to 63.
const (
	first  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	second = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
)

// parseKeys parses master keys; an error fails the test.
func parseKeys(t testing.TB, text string) []keys.MasterKey {
	t.Helper()
	all, err := keys.ParseMasterKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMasterKeys_Order(t *testing.T) {
	for _, text := range []string{
		first + "," + second,
		" " + first + " ,\n\t" + second + "\n", // as in a file or a YAML list
		first + "=," + second + "=",            // with padding, as openssl prints it
		first + "\n" + second + "\n",           // as `loginhub keygen >> FILE` appends them
	} {
		all := parseKeys(t, text)
		if len(all) != 2 || all[0].Reveal() != first || all[1].Reveal() != second {
			t.Errorf("%q is %d keys", text, len(all))
		}
	}
	fresh := keys.NewMasterKey()
	if again := parseKeys(t, fresh.Reveal()); again[0] != fresh || fresh == keys.NewMasterKey() {
		t.Error("a new key is parsed as another, or two new keys are equal")
	}
}

func TestMasterKeys_Errors(t *testing.T) {
	long := base64.RawURLEncoding.EncodeToString(make([]byte, 33))
	for text, place := range map[string]string{
		"":                                 "key 1",
		",":                                "key 1",
		first + ",":                        "key 2",
		"," + first:                        "key 1",
		first[:42]:                         "key 1",
		first[:41] + "A":                   "key 1",
		first + "A":                        "key 1",
		long:                               "key 1",
		first + "," + second[1:]:           "key 2",
		first[:42] + "9":                   "key 1", // unused bits are set: another spelling of the same key
		first[:20] + "+" + first[21:]:      "key 1", // not base64url
		first[:20] + "!" + first[21:]:      "key 1",
		first + " " + second:               "key 1",
		first + ";" + second:               "key 1",
		"=" + first:                        "key 1",
		first + "," + second + "," + first: "key 3", // a duplicate
		first + "," + first + "=":          "key 2",
	} {
		all, err := keys.ParseMasterKeys(text)
		if err == nil || all != nil {
			t.Errorf("%q is parsed as %d keys", text, len(all))
			continue
		}
		if !strings.HasPrefix(err.Error(), place+" ") && !strings.HasPrefix(err.Error(), place+":") {
			t.Errorf("%q: %v, want %s", text, err, place)
		}
		if !errors.Is(err, keys.ErrMasterKey) && !strings.Contains(err.Error(), "duplicate") {
			t.Errorf("%q: %v", text, err)
		}
		for _, part := range []string{first[4:16], first[24:36], second[4:16], long[4:16]} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("the error shows the key: %v", err)
			}
		}
	}
}

// The values were computed with another implementation of HKDF-SHA256 (RFC 5869),
// without salt, with the info "loginhub v1 PURPOSE". They must never change: records
// and tokens outlive a release, and old nodes run beside new ones.
func TestMasterKey_Deterministic(t *testing.T) {
	for master, want := range map[string][4]string{
		first: {"-BzmErR0bt9Y", "48cc0930612c60aedc59780d7032f61d49e690c8e4e26d093dfede2d3f2cdf53",
			"9adf8c59dc1e99a1baa1e3887bd054902daaba316df56f6846f63f6e1ef30203",
			"d2ddcc6a505fdce5dbb3c4818d8e9355194b3f5f82c4af970656451f848545b8"},
		second: {"Ceqwc3QN_FPw", "7e370ec1fe004c2a88e2f28c30177e8b135a5f064fe3fef525376bbc3483e5ab",
			"d94fd335321d88d3df26812810fb8b1eb5732b0e7f3ead1f705c2f9cf9cd285a",
			"79329849f527e71914605c78cde7f9c17d730688cd5767e8050f2170d7a3561a"},
	} {
		m := parseKeys(t, master)[0]
		if got := [4]string{m.ID(), hex.EncodeToString(m.Encrypt()), hex.EncodeToString(m.Seal()), hex.EncodeToString(m.Match())}; got != want {
			t.Errorf("%s derives\n%q, want\n%q", master, got, want)
		}
	}
}

func TestMasterKey_PurposesDiffer(t *testing.T) {
	for range 10 {
		m := keys.NewMasterKey()
		id, err := base64.RawURLEncoding.DecodeString(m.ID())
		if err != nil || len(id) != 9 {
			t.Fatalf("the id is %q (%v)", m.ID(), err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(m.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		all := [][]byte{raw, id, m.Encrypt(), m.Seal(), m.Match(), m.SecretStore(), m.SecretStoreAES(), m.Audit(), m.Code(), m.Known(), m.Request(), m.Frame(), m.SigningSeed(), m.TokenIDs()}
		for i, one := range all {
			for _, other := range all[i+1:] {
				if bytes.HasPrefix(one, other[:9]) || bytes.HasPrefix(other, one[:9]) {
					t.Errorf("%x and %x have a common prefix", one, other)
				}
			}
		}
	}
}

func TestMasterKey_Redacted(t *testing.T) {
	m := parseKeys(t, second)[0]
	type holder struct{ Key keys.MasterKey }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
		fmt.Fprintf(&out, verb+"\n", m)
		fmt.Fprintf(&out, verb+"\n", &m)
		fmt.Fprintf(&out, verb+"\n", holder{m})
		fmt.Fprintf(&out, verb+"\n", []any{m, []keys.MasterKey{m}, map[keys.MasterKey]int{m: 1}})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("keys", "key", m, "at", &m, "in", holder{m}, "all", []keys.MasterKey{m})
	}
	if err := json.NewEncoder(&out).Encode(holder{m}); err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(second)
	for _, form := range []string{second, fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprint(raw), fmt.Sprintf("%#v", raw)[6:]} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%.20s… is in\n%s", form, out.String())
		}
	}
	if !strings.Contains(out.String(), "[key]") {
		t.Errorf("nothing was printed")
	}
}

func FuzzParseMasterKeys(f *testing.F) {
	f.Add(first + "," + second)
	f.Add(" " + first + "=\n")
	f.Add(first[:42] + "9," + second)
	f.Add(",,,")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := keys.ParseMasterKeys(text)
		if err != nil {
			if all != nil {
				t.Errorf("%q returns an error and %d keys", text, len(all))
			}
			return
		}
		var again []string
		for _, m := range all {
			again = append(again, m.Reveal())
		}
		same := parseKeys(t, strings.Join(again, ","))
		for i, m := range all {
			if same[i] != m {
				t.Errorf("%q: key %d is parsed as another", text, i+1)
			}
		}
	})
}
