package tracing_test

import (
	"strings"
	"testing"

	"loginhub/cmd/loginhub/tracing"
)

// TestRead_Variables follows OpenTelemetry's SDK environment variables.
func TestRead_Variables(t *testing.T) {
	const on, endpoint = "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
	for _, c := range []struct {
		variables []string
		on, links bool
		wrong     string // the variable that the error names; "" for none
	}{
		{nil, false, false, ""},
		{[]string{on}, true, true, ""},
		{[]string{endpoint}, true, true, ""},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector/v1/traces"}, true, true, ""},
		{[]string{endpoint, "OTEL_TRACES_EXPORTER=none"}, false, false, ""},
		{[]string{endpoint, "OTEL_SDK_DISABLED=TRUE"}, false, false, ""},
		{[]string{endpoint, "OTEL_PROPAGATORS=none"}, true, false, ""},
		{[]string{endpoint, "OTEL_PROPAGATORS=b3, tracecontext"}, true, true, ""},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"}, true, true, ""},
		{[]string{endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, true, true, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, false, false, ""},
		{[]string{"OTEL_TRACES_EXPORTER=zipkin"}, false, false, "OTEL_TRACES_EXPORTER"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"}, true, true, "OTEL_EXPORTER_OTLP_ENDPOINT"},
	} {
		t.Run(strings.Join(c.variables, " "), func(t *testing.T) {
			for _, v := range c.variables {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			s, err := tracing.Read()
			if s.On != c.on || c.wrong == "" && (s.Links != c.links || err != nil) {
				t.Errorf("%+v %v", s, err)
			}
			if c.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), c.wrong+": ")) {
				t.Errorf("error %v, wanted of %s", err, c.wrong)
			}
		})
	}
}
