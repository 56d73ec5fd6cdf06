package qr

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"loginhub/api/ratelimit"
)

// Bounds of QR codes that are rendered as PNG. A PNG costs milliseconds of a
// core (some ten for the largest; an SVG half a millisecond). Anyone may
// request one, also of an invented id: the general limit allows 200 a second
// for each address.
//
// Renderings on all cores delay the mailbox's liveness probe, and a node whose
// probe is late releases all its waiters. So half of the cores render, and
// further requests wait in a queue.
const (
	maxRenderQueue        = 64              // requests that wait on this node
	maxRenderQueuePerAddr = 32              // of these, from one address, so that it cannot fill the queue alone
	renderQueueTimeout    = 2 * time.Second // the longest wait in the queue
)

// ErrBusy means that no slot became free, or that the queue is full.
var ErrBusy = errors.New("too many codes are being drawn")

// RenderLimiter bounds the concurrent renderings on this node.
type RenderLimiter struct {
	slots    chan struct{}            // one element for each rendering
	queue    chan struct{}            // one element for each waiting request
	perAddr  *ratelimit.WaiterLimiter // bounds the queue by address
	OnReject func()                   // called at every refusal; may be nil
}

// NewRenderLimiter returns a limiter with a slot for half of the cores.
func NewRenderLimiter(cores int) *RenderLimiter {
	return &RenderLimiter{slots: make(chan struct{}, max(1, cores/2)),
		queue: make(chan struct{}, maxRenderQueue), perAddr: ratelimit.NewWaiterLimiter(maxRenderQueuePerAddr)}
}

// Run waits for a slot and runs job, which is not interrupted. It returns the
// error of job, or ErrBusy if the queue is full, the wait too long or ctx
// done.
func (l *RenderLimiter) Run(ctx context.Context, addr netip.Prefix, job func() error) error {
	release, err := l.Acquire(ctx, addr)
	if err != nil {
		return err
	}
	defer release()
	return job()
}

// Acquire waits for a slot and returns the function that frees it. Requests are
// served in order: a channel gives a free place to the sender that has waited
// longest.
func (l *RenderLimiter) Acquire(ctx context.Context, addr netip.Prefix) (release func(), err error) {
	if err = l.wait(ctx, addr); err != nil {
		if l.OnReject != nil && ctx.Err() == nil { // a client that hung up has hit no limit
			l.OnReject()
		}
		return nil, err
	}
	return func() { <-l.slots }, nil
}

// wait takes one of the slots.
func (l *RenderLimiter) wait(ctx context.Context, addr netip.Prefix) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	release, err := l.perAddr.Acquire(addr)
	if err != nil {
		return fmt.Errorf("%w: %d of one address wait", ErrBusy, maxRenderQueuePerAddr)
	}
	defer release()
	select {
	case l.queue <- struct{}{}:
		defer func() { <-l.queue }()
	default:
		return fmt.Errorf("%w: %d wait", ErrBusy, maxRenderQueue)
	}
	timeout := time.NewTimer(renderQueueTimeout)
	defer timeout.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-timeout.C:
		return fmt.Errorf("%w: no place in %v", ErrBusy, renderQueueTimeout)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}
