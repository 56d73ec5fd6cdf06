package trace

import (
	"context"
	"log/slog"
)

// LogHandler returns a handler that adds the id of the context's request to each line, and
// the trace id if its login is sampled.
func LogHandler(next slog.Handler) slog.Handler { return logHandler{next} }

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, line slog.Record) error {
	if r := FromContext(ctx); r != nil {
		line = line.Clone()
		r.AddTo(&line)
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name)}
}

// AddTo adds the request's ids to a line. A nil Request adds nothing.
func (r *Request) AddTo(line *slog.Record) {
	if r == nil {
		return
	}
	line.AddAttrs(slog.String("request_id", r.ID()))
	if r.span != nil {
		line.AddAttrs(slog.String("trace_id", r.span.SpanContext().TraceID().String()))
	}
}
