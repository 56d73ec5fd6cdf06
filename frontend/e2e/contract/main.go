// Command contract stands in front of a hub in tests that are not written in Go and holds every
// answer to the OpenAPI document. It prints what is not in it, and ends with 1 where there was
// any, once its standard input ends.
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
	var broken atomic.Int64
	front := contract.Middleware(transparent(hub), func(err error) {
		broken.Add(1)
		fmt.Println("not in the contract:", err)
	})
	go func() { log.Fatal(http.Serve(listener, front)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	if broken.Load() > 0 {
		os.Exit(1)
	}
}

// transparent passes everything on as it comes, the name that was asked for too, and cuts the
// connection where the hub's was cut.
func transparent(hub *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(hub)
			r.Out.Host = r.In.Host
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // Rewrite begins without it
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // of pages that are gone
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}
