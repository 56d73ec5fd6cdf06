#!/bin/sh
# Builds the program for an image without a libc: build.sh OUT. The Dockerfile and
# deploy/release run this, and so does a test without Docker. VERSION and COMMIT are
# stamped into it; if they are empty, they come from Git. GOOS and GOARCH choose the
# platform.
set -eu
cd "$(dirname "$0")/../.."
out=${1:?usage: build.sh OUT}
version=${VERSION:-$(git describe --tags --always 2>/dev/null || echo devel)}
commit=${COMMIT:-$(git rev-parse HEAD 2>/dev/null || true)}

# No cgo: Go resolves names and verifies certificates, and nothing is linked at the
# start. No paths of this machine, no symbols, no setting of the environment that
# changes the code: the same sources and Go give the same bytes.
export CGO_ENABLED=0 GOFLAGS=-trimpath GOAMD64=v1 GOARM64=v8.0 GOWORK=off
go build -buildvcs=false -ldflags "-s -w -X main.releaseVersion=$version -X main.commit=$commit" -o "$out" ./cmd/loginhub

if grep -q '/ld-linux\|/ld-musl' "$out"; then
	echo "build.sh: $out asks for a loader; it is not static" >&2
	exit 1
fi
if [ "$(go env GOOS GOARCH)" = "$(go env GOHOSTOS GOHOSTARCH)" ]; then
	"$out" version # the program starts and prints its version
fi
