// Command server runs the imitation of a provider for browser tests and for people. It
// prints {"url":URL} and runs until its standard input ends. The URL is the base of the
// provider's API and pages. Ids and secrets are the constants of the imitation's package.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"loginhub/hub/provider/dingtalk/dingtalktest"
	"loginhub/hub/provider/feishu/feishutest"
	"loginhub/hub/provider/oidc/oidctest"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/qq/qqtest"
	"loginhub/hub/provider/wecom/wecomtest"
)

// imitations are all imitations, by the name of their kind.
func imitations() map[string]func(providertest.Options) http.Handler {
	return map[string]func(providertest.Options) http.Handler{
		"feishu":   func(o providertest.Options) http.Handler { return feishutest.New(o) },
		"oidc":     func(o providertest.Options) http.Handler { return oidctest.New(o) },
		"dingtalk": func(o providertest.Options) http.Handler { return dingtalktest.New(o) },
		"qq":       func(o providertest.Options) http.Handler { return qqtest.New(o) },
		"wecom":    func(o providertest.Options) http.Handler { return wecomtest.New(o) },
	}
}

func main() {
	names := strings.Join(slices.Sorted(maps.Keys(imitations())), ", ")
	kind := flag.String("kind", "", "one of "+names)
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	host := flag.String("callback-host", "", "host of the registered callback URL; empty: any")
	user := flag.String("user", "", "user who agrees at once; empty: the page asks")
	flag.Parse()
	imitate := imitations()[*kind]
	if imitate == nil {
		log.Fatalf("--kind must be one of %s", names)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(http.Serve(listener, imitate(providertest.Options{Host: *host, User: *user})))
	}()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": "http://" + listener.Addr().String()}); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
