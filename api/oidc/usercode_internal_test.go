package oidc

import (
	"strings"
	"testing"
)

func TestUserCode_Spellings(t *testing.T) {
	for typed, want := range map[string]string{
		"BCDF-GHJK": "BCDF-GHJK", "bcdfghjk": "BCDF-GHJK", " b c d f\t—g h j k ": "BCDF-GHJK", "ＢＣＤＦ－ＧＨＪＫ": "BCDF-GHJK",
		"OO0Q1ILL": "QQQQ-LLLL", "2Z5S6G8B": "ZZSS-GGBB", "UVYVVVVV": "VVVV-VVVV",
		"": "", "BCDF-GHJ": "", "BCDF-GHJKL": "", "BCDF-GHJE": "", "BCDF_GHJK": "", "BCDF-GHJ\x00": "", "BCDF-GHJ\xff": "",
	} {
		if got := parseUserCode(typed); got != want {
			t.Errorf("%q is read as %q, want %q", typed, got, want)
		}
	}
	letters := map[byte]int{}
	for range 1000 {
		code := newUserCode()
		if parseUserCode(code) != code {
			t.Fatalf("the code %q is not read", code)
		}
		for _, letter := range []byte(strings.ReplaceAll(code, "-", "")) {
			letters[letter]++
		}
	}
	for _, letter := range []byte(userAlphabet) { // 400 each on average
		if n := letters[letter]; n < 250 || n > 550 {
			t.Errorf("%c is drawn %d times of 8,000", letter, n)
		}
	}
}

func FuzzUserCode(f *testing.F) {
	f.Add("bcdf ghjk")
	f.Fuzz(func(t *testing.T, typed string) {
		if code := parseUserCode(typed); code != "" && (len(code) != userCodeLength+1 || parseUserCode(code) != code) {
			t.Errorf("%q is read as %q", typed, code)
		}
	})
}
