package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"loginhub/hub/trace"
)

// Exporter sends the spans of a Tracer. The zero value is off.
type Exporter struct {
	Tracer   *trace.Tracer // nil: traces are off
	provider *sdk.TracerProvider
}

// Start starts to send the spans of a node. A collector that does not answer costs neither a
// login nor its time: the SDK's queue is bounded and drops spans.
func Start(ctx context.Context, s Settings, node, version string, log *slog.Logger) (*Exporter, error) {
	if !s.On {
		return &Exporter{}, nil
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(&errorLog{log: log})
	var options []otlptracehttp.Option
	if s.local {
		options = append(options, otlptracehttp.WithInsecure())
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP: %w", err)
	}
	// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come last: they replace ours.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(attribute.String("service.name", "loginhub"),
		attribute.String("service.version", version), attribute.String("service.instance.id", node)), resource.WithFromEnv())
	if err != nil {
		log.Warn("OTEL_RESOURCE_ATTRIBUTES is malformed; a part of it is ignored", "error", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithIDGenerator(trace.IDs{}))
	return &Exporter{trace.New(provider.Tracer("loginhub"), node, s.Links), provider}, nil
}

// Close sends what is queued, for at most the given time.
func (e *Exporter) Close(limit time.Duration) {
	if e.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// Limits of the lines about failed exports.
const (
	errorEvery   = time.Minute
	maxErrorText = 300 // bytes: it has the collector's answer
)

// errorLog logs errors of the SDK, at most one in errorEvery.
type errorLog struct {
	log  *slog.Logger
	last atomic.Int64 // Unix time, ns
}

// Handle implements otel.ErrorHandler.
func (e *errorLog) Handle(err error) {
	now, last := time.Now().UnixNano(), e.last.Load()
	if now-last < int64(errorEvery) || !e.last.CompareAndSwap(last, now) {
		return
	}
	text := err.Error()
	if call := (*url.Error)(nil); errors.As(err, &call) {
		text = call.Err.Error() // without the endpoint, whose path may be a secret
	}
	e.log.Warn("traces are not sent; logins go on without", "error", text[:min(len(text), maxErrorText)])
}
