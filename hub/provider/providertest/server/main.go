// Command server runs the imitation of a provider for browser tests and for people. It
// prints {"url":URL,"fields":…,"secret":…} and runs until its standard input ends. The URL
// is the base of the provider's API and pages; fields are those of the clients file, in
// which SECRET is replaced by a file with the secret.
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

	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/providertest/imitations"
)

func main() {
	names := strings.Join(slices.Sorted(maps.Keys(imitations.All())), ", ")
	kind := flag.String("kind", "", "one of "+names)
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	host := flag.String("callback-host", "", "host of the registered callback URL; empty: any")
	user := flag.String("user", "", "user who agrees at once; empty: the page asks")
	flag.Parse()
	imitation, known := imitations.All()[*kind]
	if !known {
		log.Fatalf("--kind must be one of %s", names)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(http.Serve(listener, imitation.New(providertest.Options{Host: *host, User: *user})))
	}()
	u := "http://" + listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": u, "fields": strings.ReplaceAll(imitation.Fields, "URL", u), "secret": imitation.Secret}); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
