package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"loginhub/hub/provider"
)

const (
	// maxProviderCalls bounds the concurrent calls of this node to each
	// provider, and to each mini-program for its codes. A slow provider must
	// neither accumulate goroutines nor use the slots of the others.
	maxProviderCalls = 256
	// providerTimeout ends a call that its provider does not end itself.
	providerTimeout = 10 * time.Second
)

// Slots holds the concurrent calls by what is called, which is comparable. The
// map is not changed after NewSlots.
type Slots map[any]chan struct{}

// NewSlots makes the slots of everything that is called; nil is ignored. What
// is also in previous keeps its slots, so that a reload does not reset the
// bound.
func NewSlots(previous Slots, called ...any) Slots {
	all := Slots{}
	for _, one := range called {
		if one == nil || all[one] != nil {
			continue
		}
		if all[one] = previous[one]; all[one] == nil {
			all[one] = make(chan struct{}, maxProviderCalls)
		}
	}
	return all
}

// Call runs an outgoing call within providerTimeout if one of the slots is
// free. Otherwise it returns provider.ErrProviderUnavailable at once.
func (l *Limits) Call(ctx context.Context, slots chan struct{}, call func(context.Context) error) error {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		l.onReject(nameCalls)
		return fmt.Errorf("%d provider calls under way: %w", maxProviderCalls, provider.ErrProviderUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	err := call(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", provider.ErrProviderUnavailable, err)
	}
	return err
}
