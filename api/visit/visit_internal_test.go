package visit

import (
	"regexp"
	"testing"
)

func TestNewState_Alphanumeric(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		state := newState()
		if !regexp.MustCompile(`^[A-Za-z0-9]{43}$`).MatchString(state) || seen[state] {
			t.Errorf("state %q", state)
		}
		seen[state] = true
	}
}
