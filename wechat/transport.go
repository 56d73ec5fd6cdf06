package wechat

import (
	"io"
	"net"
	"net/http"
	"time"
)

// unrepeatable is an empty request body that prevents net/http from sending a GET
// twice.
//
// If a kept-alive connection breaks under a request, Transport repeats the request
// on a new one if it is replayable: a GET without a body, or with a body that can be
// rewound. A body of an unknown type is neither. Transport reads it before it sends
// the headers, finds it empty and omits it, so that a plain GET is sent.
//
// As a consequence, a request fails if the other side closes the connection at that
// moment, although WeChat may not have seen it. A new connection for every call
// would avoid that, but needs two round trips and a TLS handshake each, and a burst
// would exhaust the local ports. So connections are kept for a short time
// (idleLimit).
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// idleLimit is how long an idle connection is kept. It is less than the shortest
// usual keep-alive time of servers and proxies, 5 s, so that this side closes first.
const idleLimit = 4 * time.Second

// newTransport returns the package's own transport.
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
		// the usual 100 ms; further calls wait within their time limit. As many
		// are kept: net/http's default of 2 would close nearly every connection
		// after one call.
		MaxConnsPerHost:     256,
		MaxIdleConnsPerHost: 256,
	}
}
