package hubtest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector is an OpenTelemetry collector for tests: it decodes what nodes send by OTLP over
// HTTP.
type Collector struct {
	URL string

	mu    sync.Mutex
	spans []Span
	text  strings.Builder
}

// Span is a span that a Collector has received. Ids are in hex.
type Span struct {
	Name, Trace, ID, Parent string
	Kind                    string            // server, client, producer, consumer
	Node                    string            // service.instance.id
	Attrs                   map[string]string // texts only
	Links                   []string          // trace ids
	Start, End              time.Time
	Failed                  bool
}

// StartCollector starts a collector that ends with the test.
func StartCollector(t testing.TB) *Collector {
	c := &Collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Settings are the variables of a node that sends its traces here soon.
func (c *Collector) Settings() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
}

// Spans returns what has arrived so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Text returns all that has arrived so far, with every attribute.
func (c *Collector) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got collector.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &got) != nil {
		http.Error(w, "no OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.WriteString(got.String())
	for _, from := range got.ResourceSpans {
		node := ""
		for _, a := range from.Resource.Attributes {
			if a.Key == "service.instance.id" {
				node = a.Value.GetStringValue()
			}
		}
		for _, scope := range from.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, decodeSpan(node, s))
			}
		}
	}
}

func decodeSpan(node string, s *otlp.Span) Span {
	out := Span{Name: s.Name, Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Kind: strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")), Node: node, Attrs: map[string]string{},
		Start: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)),
		Failed: s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR}
	for _, a := range s.Attributes {
		out.Attrs[a.Key] = a.Value.GetStringValue()
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, hex.EncodeToString(l.TraceId))
	}
	return out
}
