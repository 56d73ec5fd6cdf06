package logqueue

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// repeatEvery is the minimum time between two lines with the same key.
	repeatEvery = 30 * time.Second
	// maxKeys bounds the table. Further keys share one entry.
	maxKeys = 256
)

// keyed are the attributes that are part of a line's key. The configuration or the
// program sets their values, never a request; but the api logs at most 100 origins, so
// they cannot fill the table.
var keyed = map[string]bool{"client": true, "app_id": true, "code": true, "id": true, "setting": true, "reload": true, "origin": true, "queue": true}

// Limit is a slog.Handler that limits repeated warnings and errors. It passes the
// first line with a key, then at most one in 30 seconds, with the number of
// suppressed lines as "repeated". The key is the message and the keyed attributes.
// Lines below slog.LevelWarn are not limited.
type Limit struct {
	slog.Handler
	table  *table
	prefix string // the keyed attributes of WithAttrs
}

// NewLimit returns a Limit in front of next.
func NewLimit(next slog.Handler) *Limit {
	return &Limit{Handler: next, table: &table{entries: map[string]*entry{}}}
}

// table is shared by all handlers that WithAttrs derives.
type table struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is a key that was logged in the last 30 seconds.
type entry struct {
	repeated int
	last     slog.Record
	handler  slog.Handler // of last
	timer    *time.Timer
}

// Handle implements slog.Handler.
func (l *Limit) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return l.Handler.Handle(ctx, r)
	}
	if l.table.suppress(l.key(r), r, l.Handler) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *Limit) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *l
	next.Handler = l.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		next.prefix += keyOf(a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (l *Limit) WithGroup(name string) slog.Handler {
	next := *l
	next.Handler = l.Handler.WithGroup(name)
	return &next
}

// Flush writes the suppressed lines immediately.
func (l *Limit) Flush() {
	t := l.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.entries {
		e.timer.Stop()
		e.emit()
		delete(t.entries, key)
	}
}

func (l *Limit) key(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(l.prefix)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(keyOf(a))
		return true
	})
	return b.String()
}

func keyOf(a slog.Attr) string {
	if !keyed[a.Key] {
		return ""
	}
	return "\x00" + a.Key + "=" + a.Value.String()
}

// suppress reports whether the line is held back. The last held line of a key is
// written when its interval ends.
func (t *table) suppress(key string, r slog.Record, h slog.Handler) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if e == nil && len(t.entries) >= maxKeys {
		key = ""
		e = t.entries[key]
	}
	if e != nil {
		e.repeated++
		e.last, e.handler = r.Clone(), h
		return true
	}
	e = &entry{}
	e.timer = time.AfterFunc(repeatEvery, func() { t.due(key, e) })
	t.entries[key] = e
	return false
}

// due writes the entry's held line, or deletes a key without one.
func (t *table) due(key string, e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.entries[key] != e: // flushed
	case e.repeated == 0:
		delete(t.entries, key)
	default:
		e.emit()
		e.timer.Reset(repeatEvery)
	}
}

// emit writes the last held line.
func (e *entry) emit() {
	if e.repeated == 0 {
		return
	}
	e.last.AddAttrs(slog.Int("repeated", e.repeated))
	_ = e.handler.Handle(context.Background(), e.last) // writing to a Queue cannot fail
	e.repeated = 0
}
