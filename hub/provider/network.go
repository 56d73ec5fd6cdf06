package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
)

// Codes of a CallResult without a usable answer.
const (
	networkNone    = "none"    // an answer that cannot be read, or a connection that broke
	networkDNS     = "dns"     // the name was not resolved
	networkConnect = "connect" // no TCP connection
	networkTLS     = "tls"     // the certificate or the handshake was not accepted
	networkTimeout = "timeout" // no answer in time
)

// NetworkCodes returns all results of NetworkCode.
func NetworkCodes() []string {
	return []string{networkNone, networkDNS, networkConnect, networkTLS, networkTimeout}
}

// NetworkCode returns what has failed in a call that ended with err, without an error code
// of the provider.
func NetworkCode(err error) string {
	var (
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
		op          *net.OpError
		limit       net.Error
	)
	switch {
	case errors.As(err, &name):
		return networkDNS
	case errors.As(err, &certificate), errors.As(err, &alert), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return networkTLS
	case errors.As(err, &op) && op.Op == "dial":
		return networkConnect
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &limit) && limit.Timeout():
		return networkTimeout
	}
	return networkNone
}
