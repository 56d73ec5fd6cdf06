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
	maxDrawLine = 64              // that wait on this node
	maxDrawEach = 32              // of these, from one address: it does not fill the line alone
	drawWait    = 2 * time.Second // in the line, at most
)

// errDrawing is no place to draw a code, nor one in the line.
var errDrawing = errors.New("too many codes are being drawn")

// easel bounds the drawings at once on this node.
type easel struct {
	places chan struct{} // taken by who draws
	line   chan struct{} // taken by who waits
	each   *seats        // of the line, by address
	over   func()        // told of every refusal; may be nil
}

// newEasel has places for half of the cores.
func newEasel(cores int) *easel {
	return &easel{places: make(chan struct{}, max(1, cores/2)),
		line: make(chan struct{}, maxDrawLine), each: newSeats(maxDrawEach)}
}

// draw runs job, which is not interrupted, once there is a place. It gives job's
// error, or errDrawing where the line is full, the wait too long or ctx over.
func (e *easel) draw(ctx context.Context, who netip.Prefix, job func() error) error {
	if err := e.take(ctx, who); err != nil {
		if e.over != nil && ctx.Err() == nil { // who has left has hit no limit
			e.over()
		}
		return err
	}
	defer func() { <-e.places }()
	return job()
}

// take waits for a place. Who came first is served first: a channel gives what
// comes free to the one who has waited longest, before anybody who comes anew.
func (e *easel) take(ctx context.Context, who netip.Prefix) error {
	select {
	case e.places <- struct{}{}:
		return nil
	default:
	}
	leave, err := e.each.take(who)
	if err != nil {
		return fmt.Errorf("%w: %d of one address wait", errDrawing, maxDrawEach)
	}
	defer leave()
	select {
	case e.line <- struct{}{}:
		defer func() { <-e.line }()
	default:
		return fmt.Errorf("%w: %d wait", errDrawing, maxDrawLine)
	}
	patience := time.NewTimer(drawWait)
	defer patience.Stop()
	select {
	case e.places <- struct{}{}:
		return nil
	case <-patience.C:
		return fmt.Errorf("%w: no place in %v", errDrawing, drawWait)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errDrawing, ctx.Err())
	}
}
