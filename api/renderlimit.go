package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Bounds of drawing codes as PNG. One costs milliseconds of a core (some ten for the
// largest; an SVG half a one), and everybody may ask for one, of an id that he has
// made up: the general limit allows an address 200 a second. Drawings that take all
// cores starve the mailbox's proof, and a node that takes itself for deaf lets all
// its pages go. So half of the cores draw, and who finds no place waits in a line.
const (
	maxRenderQueue        = 64              // that wait on this node
	maxRenderQueuePerAddr = 32              // of these, from one address: it does not fill the line alone
	renderQueueTimeout    = 2 * time.Second // in the line, at most
)

// errRenderBusy is no place to draw a code, nor one in the line.
var errRenderBusy = errors.New("too many codes are being drawn")

// renderLimiter bounds the drawings at once on this node.
type renderLimiter struct {
	slots    chan struct{}  // taken by who draws
	queue    chan struct{}  // taken by who waits
	perAddr  *waiterLimiter // of the line, by address
	onReject func()         // told of every refusal; may be nil
}

// newRenderLimiter has places for half of the cores.
func newRenderLimiter(cores int) *renderLimiter {
	return &renderLimiter{slots: make(chan struct{}, max(1, cores/2)),
		queue: make(chan struct{}, maxRenderQueue), perAddr: newWaiterLimiter(maxRenderQueuePerAddr)}
}

// run runs job, which is not interrupted, once there is a place. It gives job's
// error, or errDrawing where the line is full, the wait too long or ctx over.
func (e *renderLimiter) run(ctx context.Context, who netip.Prefix, job func() error) error {
	if err := e.acquire(ctx, who); err != nil {
		if e.onReject != nil && ctx.Err() == nil { // who has left has hit no limit
			e.onReject()
		}
		return err
	}
	defer func() { <-e.slots }()
	return job()
}

// acquire waits for a place. Who came first is served first: a channel gives what
// comes free to the one who has waited longest, before anybody who comes anew.
func (e *renderLimiter) acquire(ctx context.Context, who netip.Prefix) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	default:
	}
	leave, err := e.perAddr.acquire(who)
	if err != nil {
		return fmt.Errorf("%w: %d of one address wait", errRenderBusy, maxRenderQueuePerAddr)
	}
	defer leave()
	select {
	case e.queue <- struct{}{}:
		defer func() { <-e.queue }()
	default:
		return fmt.Errorf("%w: %d wait", errRenderBusy, maxRenderQueue)
	}
	patience := time.NewTimer(renderQueueTimeout)
	defer patience.Stop()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return fmt.Errorf("%w: no place in %v", errRenderBusy, renderQueueTimeout)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errRenderBusy, ctx.Err())
	}
}
