// Command contract is a proxy for tests that are not written in Go. It checks every answer of a hub
// against the OpenAPI document and prints the violations. It runs until its standard input ends. Then
// the exit code is 1 if there was a violation.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"

	"loginhub/api/apitest"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: contract OPENAPI.YAML LISTEN HUB")
	}
	contract, err := apitest.Load(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	hub, err := url.Parse(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	var violations atomic.Int64
	front := contract.Middleware(transparent(hub), func(err error) {
		violations.Add(1)
		fmt.Println("not in the contract:", err)
	})
	go func() { log.Fatal(http.Serve(listener, front)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	if violations.Load() > 0 {
		os.Exit(1)
	}
}

// transparent returns a proxy to the hub. It keeps all headers, Host included, and closes the
// connection if the hub closed its own.
func transparent(hub *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(hub)
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // Rewrite removes it
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // closed pages would be logged
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}
