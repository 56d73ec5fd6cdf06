// Package sandbox is the built-in imitation of a provider, for development. It is used
// if no other provider is configured.
package sandbox

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"loginhub/hub/provider"
)

// Kind returns the kind "sandbox". It has no fields.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "sandbox", Label: provider.Label{ZH: "沙箱", EN: "Sandbox"},
		Token:   provider.TokenForm{AMR: "sandbox", Prefix: "sandbox"},
		ByPhone: true, Development: true,
		Read: func(*provider.Fields) provider.Config { return config{} },
	}
}

// config implements provider.Config.
type config struct{}

// Open implements provider.Config.
func (config) Open(provider.Env) (provider.Access, error) {
	return provider.Access{Code: newExchanger()}, nil
}

// Check implements provider.Config.
func (config) Check(_ context.Context, e provider.Env) []provider.Finding {
	return []provider.Finding{{Severity: provider.Warn, Subject: "provider", Text: "the sandbox is on: anyone can log in as anyone; set LOGINHUB_WECHAT_APP_ID for production"}}
}

// exchanger implements provider.Exchanger: the code "sandbox:NAME:NONCE" is the user
// NAME. NONCE is any text; each code works once. Only this node remembers used codes,
// the last 65,536 of them: shared memory would cost each sandbox login two Redis
// commands more.
type exchanger struct {
	mu   sync.Mutex
	used map[[16]byte]struct{}
	ring [][16]byte
	next int
}

// newExchanger returns an exchanger without used codes.
func newExchanger() *exchanger {
	return &exchanger{used: make(map[[16]byte]struct{}, 1<<16), ring: make([][16]byte, 1<<16)}
}

// Exchange implements provider.Exchanger.
func (s *exchanger) Exchange(_ context.Context, p provider.Credential) (provider.Identity, error) {
	code := p.Code
	rest, ok := strings.CutPrefix(code, "sandbox:")
	name, nonce, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || name == "" || nonce == "" {
		return provider.Identity{}, fmt.Errorf("sandbox: the code is not sandbox:NAME:NONCE: %w", provider.ErrCodeInvalid)
	}
	if provider.CleanText(name, provider.MaxNickname) != name {
		return provider.Identity{}, fmt.Errorf("sandbox: the name is too long or has characters that are not allowed: %w", provider.ErrCodeInvalid)
	}
	sum := sha256.Sum256([]byte(code))
	if !s.markUsed([16]byte(sum[:16])) {
		return provider.Identity{}, fmt.Errorf("sandbox: the code was used before: %w", provider.ErrCodeInvalid)
	}
	return provider.Identity{Subject: name}, nil
}

// markUsed remembers a code and reports whether it is new.
func (s *exchanger) markUsed(code [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.used[code]; used {
		return false
	}
	delete(s.used, s.ring[s.next])
	s.ring[s.next] = code
	s.next = (s.next + 1) % len(s.ring)
	s.used[code] = struct{}{}
	return true
}
