package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // WeChat's usual
	"image/png"
	"maps"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// Bounds of mini-program codes. Each costs a call, of 5,000 a minute for the
// whole mini-program, and everybody may ask for a picture: so only a ticket that
// exists and waits for its scan is worth one, one call per ticket and node
// whoever asks how often, and no more calls per address than tickets.
const (
	maxCachedCodes = 256 // pictures kept; a page fetches its own once
	maxCodeEdge    = 1280
	// codeBackoff is how long WeChat is left alone after a refusal that does not
	// pass by itself.
	codeBackoff = time.Minute
)

// wxacodeCache are the mini-program codes of this node.
type wxacodeCache struct {
	mu           sync.Mutex
	entries      map[ticket.ID]*wxacodeEntry
	order        []ticket.ID // oldest first
	backoffUntil map[MiniProgramCodes]time.Time
}

// wxacodeEntry is one code, or the call for it.
type wxacodeEntry struct {
	done chan struct{} // closed when png or its absence is known
	png  []byte
}

func newWxacodeCache() *wxacodeCache {
	return &wxacodeCache{entries: map[ticket.ID]*wxacodeEntry{}, backoffUntil: map[MiniProgramCodes]time.Time{}}
}

// wxacodePNG is the ticket's mini-program code as a PNG; nil where the client has
// none, where the ticket is not worth a call, and where WeChat refuses. Then the
// link is drawn in its place.
func (s *Server) wxacodePNG(c echo.Context, client string, id ticket.ID) []byte {
	if activeConfigOf(c).loginMethods(client).MiniProgramCodes == nil {
		return nil
	}
	one, first := s.wxacodes.startOrJoin(id)
	ctx := c.Request().Context()
	if !first {
		select {
		case <-one.done:
			return one.png
		case <-ctx.Done():
			return nil
		}
	}
	// Others may wait for this one: it does not end with its own request.
	defer func() { s.wxacodes.finish(id, one) }()
	one.png = s.fetchWxacode(context.WithoutCancel(ctx), c, id)
	return one.png
}

// fetchWxacode looks at the ticket and asks WeChat.
func (s *Server) fetchWxacode(ctx context.Context, c echo.Context, id ticket.ID) []byte {
	now := time.Now()
	if s.wxacodeLimiter.allow(s.proxies.clientAddr(c.Request()).rateKey, now) != nil {
		return nil
	}
	t, err := s.Hub.Get(ctx, id)
	if err != nil || t.State != ticket.Pending {
		return nil
	}
	codes := activeConfigOf(c).loginMethods(t.Client).MiniProgramCodes // of the ticket's client, whatever the request says
	if codes == nil || s.wxacodes.backingOff(codes, now) {
		return nil
	}
	var picture []byte
	err = s.withSlot(ctx, activeConfigOf(c).providerSlots[codes], func(ctx context.Context) (err error) {
		if picture, err = codes.Code(ctx, id); err == nil {
			picture, err = asPNG(picture)
		}
		return err
	})
	if err != nil {
		rest := time.Second
		var again *ticket.RetryError
		switch {
		case errors.As(err, &again):
			rest = min(again.After, codeBackoff)
		case errors.Is(err, ticket.ErrProviderMisconfigured):
			rest = codeBackoff
		}
		s.wxacodes.backOff(codes, now.Add(rest))
		s.Log.Warn("no mini-program code: the link is shown instead", "ticket", id, "client", t.Client, "retry_in", rest, "error", err)
		return nil
	}
	return picture
}

// asPNG decodes what WeChat sent and makes the file anew: what pages show is a
// picture and nothing else.
func asPNG(picture []byte) ([]byte, error) {
	size, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil || size.Width > maxCodeEdge || size.Height > maxCodeEdge {
		return nil, fmt.Errorf("unusable picture of %d bytes: %w", len(picture), ticket.ErrProviderUnavailable)
	}
	decoded, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("picture: %w: %w", err, ticket.ErrProviderUnavailable)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, decoded); err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	return b.Bytes(), nil
}

// startOrJoin gives the ticket's code; first is true for the one who has to make it
// and settle it.
func (u *wxacodeCache) startOrJoin(id ticket.ID) (one *wxacodeEntry, first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if one := u.entries[id]; one != nil {
		return one, false
	}
	one = &wxacodeEntry{done: make(chan struct{})}
	u.entries[id] = one
	return one, true
}

// finish lets the others see it, and keeps it, or not: a later request may fare
// better. What nobody could get never pushes out what somebody has.
func (u *wxacodeCache) finish(id ticket.ID, one *wxacodeEntry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(one.done)
	if one.png == nil {
		delete(u.entries, id)
		return
	}
	if u.order = append(u.order, id); len(u.order) > maxCachedCodes {
		delete(u.entries, u.order[0])
		u.order = u.order[1:]
	}
}

func (u *wxacodeCache) backingOff(c MiniProgramCodes, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return now.Before(u.backoffUntil[c])
}

func (u *wxacodeCache) backOff(c MiniProgramCodes, until time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.backoffUntil, func(_ MiniProgramCodes, until time.Time) bool { return until.Before(time.Now()) }) // also of credentials that a reload has replaced
	u.backoffUntil[c] = until
}
