package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Sandbox is a built-in imitation of a provider, for development: the code
// "sandbox:NAME:NONCE" is the user NAME. NONCE is any text; each code works
// once. Only this node remembers used codes, the last 65,536 of them: shared
// memory would cost each sandbox login two Redis commands more.
type Sandbox struct {
	mu   sync.Mutex
	used map[[16]byte]struct{}
	ring [][16]byte
	next int
}

// NewSandbox returns a Sandbox without used codes.
func NewSandbox() *Sandbox {
	return &Sandbox{used: make(map[[16]byte]struct{}, 1<<16), ring: make([][16]byte, 1<<16)}
}

// Exchange implements Provider.
func (s *Sandbox) Exchange(_ context.Context, p Credential) (ticket.Identity, error) {
	code := p.Code
	rest, ok := strings.CutPrefix(code, "sandbox:")
	name, nonce, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || name == "" || nonce == "" {
		return ticket.Identity{}, fmt.Errorf("sandbox: the code is not sandbox:NAME:NONCE: %w", ticket.ErrCodeInvalid)
	}
	if ticket.CleanText(name, ticket.MaxNickname) != name {
		return ticket.Identity{}, fmt.Errorf("sandbox: the name is too long or has characters that are not allowed: %w", ticket.ErrCodeInvalid)
	}
	sum := sha256.Sum256([]byte(code))
	if !s.markUsed([16]byte(sum[:16])) {
		return ticket.Identity{}, fmt.Errorf("sandbox: the code was used before: %w", ticket.ErrCodeInvalid)
	}
	return ticket.Identity{Provider: "sandbox", Subject: name, Token: &provider.TokenForm{AMR: "sandbox", Prefix: "sandbox"}}, nil
}

// markUsed remembers a code and reports whether it is new.
func (s *Sandbox) markUsed(code [16]byte) bool {
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
