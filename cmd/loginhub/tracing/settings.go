// Package tracing sends the traces of logins to an OpenTelemetry collector. It is set up by
// OpenTelemetry's own variables only
// (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables), and off unless
// one of them asks for traces. The spans are in package hub/trace.
package tracing

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Settings are what OpenTelemetry's variables ask for. The SDK reads the others itself.
type Settings struct {
	On    bool
	Links bool // tracecontext is among OTEL_PROPAGATORS
	local bool // no endpoint is set: the collector is on this machine
}

// Read reads the variables. An error names each that asks for what this program does not have.
func Read() (s Settings, err error) {
	endpoints := []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"}
	given := func(name string) bool { return os.Getenv(name) != "" }
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	s.local = !slices.ContainsFunc(endpoints, given)
	s.On = exporter == "otlp" || exporter == "" && !s.local
	if disabled := os.Getenv("OTEL_SDK_DISABLED"); strings.EqualFold(disabled, "true") {
		return Settings{}, nil
	}
	var errs []error
	if exporter != "" && exporter != "otlp" && exporter != "none" {
		errs = append(errs, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not built in; otlp or none", exporter))
	}
	if !s.On {
		return s, errors.Join(errs...)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := os.Getenv(name); !slices.Contains([]string{"", "http/protobuf", "http/json"}, p) {
			errs = append(errs, fmt.Errorf("%s: %q is not built in; use http/protobuf, and in the endpoint the collector's port for HTTP, usually 4318", name, p))
		}
	}
	for _, name := range endpoints {
		u, err := url.Parse(cmp.Or(os.Getenv(name), "http://localhost:4318"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("%s: must be http(s)://HOST:PORT", name)) // without the value, which may have a password
		}
	}
	s.Links = slices.ContainsFunc(strings.Split(cmp.Or(os.Getenv("OTEL_PROPAGATORS"), "tracecontext"), ","),
		func(name string) bool { return strings.TrimSpace(name) == "tracecontext" })
	return s, errors.Join(errs...)
}
