package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the usual format of WeChat
	"image/png"
	"maps"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// Bounds of mini-program codes (wxacode: WeChat's QR codes). Each costs a call,
// of 5,000 a minute for the whole mini-program, and anyone may request a
// picture. Therefore the hub calls WeChat only for a ticket that exists and is
// pending, once per ticket and node, and for an address at most as often as it
// may create tickets.
const (
	maxCachedCodes = 256 // a page requests its code once
	maxCodeEdge    = 1280
	// codeBackoff is how long WeChat is not called after a refusal that only
	// the operator can end.
	codeBackoff = time.Minute
)

// wxacodeCache holds the mini-program codes of this node.
type wxacodeCache struct {
	mu           sync.Mutex
	entries      map[ticket.ID]*wxacodeEntry
	order        []ticket.ID // oldest first
	backoffUntil map[MiniProgramCodes]time.Time
}

// wxacodeEntry is one code, or the pending call for it.
type wxacodeEntry struct {
	done chan struct{} // closed when png or its absence is known
	png  []byte
}

// newWxacodeCache returns an empty cache.
func newWxacodeCache() *wxacodeCache {
	return &wxacodeCache{entries: map[ticket.ID]*wxacodeEntry{}, backoffUntil: map[MiniProgramCodes]time.Time{}}
}

// wxacodePNG returns the mini-program code of a ticket as a PNG. It returns nil
// if the client has none, if the ticket is not worth a call, or if WeChat
// refuses. The caller then renders a QR code with the link.
func (s *Server) wxacodePNG(c echo.Context, client string, id ticket.ID) []byte {
	if activeConfigOf(c).loginMethods(client).MiniProgramCodes == nil {
		return nil
	}
	entry, created := s.wxacodes.startOrJoin(id)
	ctx := c.Request().Context()
	if !created {
		select {
		case <-entry.done:
			return entry.png
		case <-ctx.Done():
			return nil
		}
	}
	// Other requests may wait for this code, so its call does not end with this
	// request.
	defer func() { s.wxacodes.finish(id, entry) }()
	entry.png = s.fetchWxacode(context.WithoutCancel(ctx), c, id)
	return entry.png
}

// fetchWxacode reads the ticket and asks WeChat for its code.
func (s *Server) fetchWxacode(ctx context.Context, c echo.Context, id ticket.ID) []byte {
	now := time.Now()
	if s.limits.Wxacodes.Allow(s.proxies.Addr(c.Request()).RateKey, now) != nil {
		return nil
	}
	t, err := s.Hub.Get(ctx, id)
	if err != nil || t.State != ticket.Pending {
		return nil
	}
	codes := activeConfigOf(c).loginMethods(t.Client).MiniProgramCodes // of the ticket's client, whatever client the request names
	if codes == nil || s.wxacodes.backingOff(codes, now) {
		return nil
	}
	var picture []byte
	err = s.limits.Call(ctx, activeConfigOf(c).providerSlots[codes], func(ctx context.Context) (err error) {
		if picture, err = codes.Code(ctx, id); err == nil {
			picture, err = asPNG(picture)
		}
		return err
	})
	if err != nil {
		backoff := time.Second
		var retry *ticket.RetryError
		switch {
		case errors.As(err, &retry):
			backoff = min(retry.After, codeBackoff)
		case errors.Is(err, ticket.ErrProviderMisconfigured):
			backoff = codeBackoff
		}
		s.wxacodes.backOff(codes, now.Add(backoff))
		s.Log.Warn("no mini-program code: the link is shown instead", "ticket", id, "client", t.Client, "retry_in", backoff, "error", err)
		return nil
	}
	return picture
}

// asPNG decodes the picture from WeChat and encodes it again, so that pages
// show a picture and nothing else.
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

// startOrJoin returns the ticket's entry. If created is true, the caller has to
// fetch the code and call finish.
func (w *wxacodeCache) startOrJoin(id ticket.ID) (entry *wxacodeEntry, created bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if entry := w.entries[id]; entry != nil {
		return entry, false
	}
	entry = &wxacodeEntry{done: make(chan struct{})}
	w.entries[id] = entry
	return entry, true
}

// finish wakes the requests that wait for the entry. An entry without a code is
// dropped, so that a later request can try again; it never displaces a code.
func (w *wxacodeCache) finish(id ticket.ID, entry *wxacodeEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(entry.done)
	if entry.png == nil {
		delete(w.entries, id)
		return
	}
	if w.order = append(w.order, id); len(w.order) > maxCachedCodes {
		delete(w.entries, w.order[0])
		w.order = w.order[1:]
	}
}

// backingOff reports whether c must not be called now.
func (w *wxacodeCache) backingOff(c MiniProgramCodes, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.backoffUntil[c])
}

// backOff stops calls of c until a time. It also deletes old entries, among
// them those of credentials that a reload has replaced.
func (w *wxacodeCache) backOff(c MiniProgramCodes, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.backoffUntil, func(_ MiniProgramCodes, until time.Time) bool { return until.Before(time.Now()) })
	w.backoffUntil[c] = until
}
