package wechat

import (
	"io"
	"net"
	"net/http"
	"time"
)

// unrepeatable is an empty request body that keeps net/http from sending a GET
// a second time.
//
// When a kept-alive connection breaks under a request, Transport repeats the
// request on a new one if it takes it for replayable: a GET without a body, or
// with a body that it knows how to rewind. A body of a type that it does not
// know is neither. It is read once before the headers go out, found empty and
// left away, so that on the wire the request is a plain GET.
//
// The price: a request that meets a connection in the moment the other side
// closes it fails, although WeChat may never have seen it. A fresh connection
// for every call would avoid that, at two round trips and a TLS handshake each,
// and in a burst at an exhausted range of local ports. So connections are kept,
// but only briefly (idleLimit).
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// idleLimit is how long a connection is kept for the next call: less than the
// shortest keep-alive time that servers and proxies commonly have, 5 s, so that
// it is we who close it. A burst needs no more.
const idleLimit = 4 * time.Second

// newTransport gives the package's own transport.
func newTransport() *http.Transport {
	// HTTP/2 has its own rules for repeating a request after REFUSED_STREAM or
	// GOAWAY, and one broken connection would take all calls on it along.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Protocols:              protocols,
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectLimit}).DialContext,
		TLSHandshakeTimeout:    connectLimit,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        idleLimit,
		// All calls go to one host. 256 at a time are over 2,000 a second at
		// the usual 100 ms; what comes on top waits within its own time limit.
		// As many are kept: net/http's default of 2 would close nearly every
		// connection after a single call.
		MaxConnsPerHost:     256,
		MaxIdleConnsPerHost: 256,
	}
}
