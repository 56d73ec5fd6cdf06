#!/bin/sh
# Builds Traefik from its Go module into DIR/traefik, for `task test:traefik`:
# build.sh VERSION DIR. Go's proxy lacks some clients of DNS services, which only ACME
# needs, and a fork of the library for basic authentication: they are left out.
set -eu
dir() { go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)",/\1/p'; }

cd "$2"
cp -r "$(dir "github.com/traefik/traefik/v3@$1")" src
chmod -R u+w src
cd src
ext=pkg/config/dynamic/ext # a module of its own, which the module's archive leaves out
mkdir -p "$ext"
printf 'module github.com/traefik/traefik/dynamic/ext\n' > "$ext/go.mod"
printf 'package ext\n\ntype (\n\tHTTP   struct{}\n\tRouter struct{}\n)\n' > "$ext/ext.go"
cp -r "$(dir github.com/go-acme/lego/v5)" ../lego
chmod -R u+w ../lego
cat > ../lego/providers/dns/zz_gen_dns_providers.go <<'GO'
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v5/challenge"
)

// NewDNSChallengeProviderByName returns an error: there are no providers.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("no DNS provider %s", name)
}
GO
sed -i 's/goauth.CheckSecret,/func(string, string) bool { return false },/' pkg/middlewares/auth/basic_auth.go
sed -i 's/RequireAuthStale(/RequireAuth(/' pkg/middlewares/auth/digest_auth.go
go mod edit -replace github.com/go-acme/lego/v5=../lego -replace github.com/abbot/go-http-auth=github.com/abbot/go-http-auth@v0.4.0
CGO_ENABLED=0 go build -mod=mod -o ../traefik ./cmd/traefik
