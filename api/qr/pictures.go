package qr

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/jpeg" // the usual format of WeChat
	"image/png"
	"maps"
	"sync"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Bounds of codes that a provider draws. Each costs a call, for WeChat's wxacode
// of 5,000 a minute for the whole mini-program, and anyone may request a
// picture. Therefore the hub calls the provider only for a ticket that exists and is
// pending, once per ticket and node, and for an address at most as often as it
// may create tickets.
const (
	maxCachedCodes = 256 // a page requests its code once
	maxCodeEdge    = 1280
)

// PictureCache holds the providers' codes of this node.
type PictureCache struct {
	mu           sync.Mutex
	entries      map[ticket.ID]*pictureEntry
	order        []ticket.ID       // oldest first
	backoffUntil map[any]time.Time // by what is called, which is comparable
}

// pictureEntry is one code, or the pending call for it.
type pictureEntry struct {
	done chan struct{} // closed when code or its absence is known
	code *provider.Picture
}

// NewPictureCache returns an empty cache.
func NewPictureCache() *PictureCache {
	return &PictureCache{entries: map[ticket.ID]*pictureEntry{}, backoffUntil: map[any]time.Time{}}
}

// Get returns the ticket's code, or nil. The first caller runs fetch;
// others wait for its result.
func (w *PictureCache) Get(ctx context.Context, id ticket.ID, fetch func(context.Context) *provider.Picture) *provider.Picture {
	entry, created := w.startOrJoin(id)
	if !created {
		select {
		case <-entry.done:
			return entry.code
		case <-ctx.Done():
			return nil
		}
	}
	// Other requests may wait for this code, so its call does not end with this
	// request.
	defer func() { w.finish(id, entry) }()
	entry.code = fetch(context.WithoutCancel(ctx))
	return entry.code
}

// AsPNG decodes the image from a provider and encodes it again, so that pages
// show a picture and nothing else.
func AsPNG(picture []byte) ([]byte, error) {
	size, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil || size.Width > maxCodeEdge || size.Height > maxCodeEdge {
		return nil, fmt.Errorf("unusable picture of %d bytes: %w", len(picture), provider.ErrProviderUnavailable)
	}
	decoded, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("picture: %w: %w", err, provider.ErrProviderUnavailable)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, decoded); err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	return b.Bytes(), nil
}

// startOrJoin returns the ticket's entry. If created is true, the caller has to
// fetch the code and call finish.
func (w *PictureCache) startOrJoin(id ticket.ID) (entry *pictureEntry, created bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if entry := w.entries[id]; entry != nil {
		return entry, false
	}
	entry = &pictureEntry{done: make(chan struct{})}
	w.entries[id] = entry
	return entry, true
}

// finish wakes the requests that wait for the entry. An entry without a code is
// dropped, so that a later request can try again; it never displaces a code.
func (w *PictureCache) finish(id ticket.ID, entry *pictureEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(entry.done)
	if entry.code == nil {
		delete(w.entries, id)
		return
	}
	if w.order = append(w.order, id); len(w.order) > maxCachedCodes {
		delete(w.entries, w.order[0])
		w.order = w.order[1:]
	}
}

// BackingOff reports whether c must not be called now.
func (w *PictureCache) BackingOff(c any, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.backoffUntil[c])
}

// BackOff stops calls of c until a time. It also deletes old entries, among
// them those of credentials that a reload has replaced.
func (w *PictureCache) BackOff(c any, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.backoffUntil, func(_ any, until time.Time) bool { return until.Before(time.Now()) })
	w.backoffUntil[c] = until
}
