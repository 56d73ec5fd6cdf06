package api

import (
	"context"
	"fmt"
	"time"

	"loginhub/hub/ticket"
)

// Provider turns a phone's one-time code into an identity.
//
// Exchange is called once per code at the most, and only where some user could
// get a 200. Its errors wrap ticket.ErrCodeInvalid, ErrUserBlocked,
// ErrProviderMisconfigured or ErrProviderUnavailable (within a
// ticket.RetryError where it is known when to try again) and hold neither code
// nor credentials. A new provider is one type with this method, and one line
// where the program is wired.
type Provider interface {
	Exchange(ctx context.Context, code string) (ticket.Identity, error)
}

const (
	// maxCalls bounds the provider calls under way on this node: a slow
	// provider must not pile up goroutines.
	maxCalls = 256
	// callLimit ends a call that its provider does not end itself.
	callLimit = 10 * time.Second
)

// exchange is the one way to a provider.
func (s *Server) exchange(ctx context.Context, p Provider, code string) (ticket.Identity, error) {
	select {
	case s.calls <- struct{}{}:
		defer func() { <-s.calls }()
	default:
		return ticket.Identity{}, fmt.Errorf("%d provider calls under way: %w", maxCalls, ticket.ErrProviderUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return p.Exchange(ctx, code)
}
