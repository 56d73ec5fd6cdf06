#!/bin/sh
# Builds an earlier release's program at the path OUT, for the tests of a mixed fleet:
#     previous.sh [OUT [REF]]
# REF is the previous release: the last tag before this commit or, as long as there is
# none, the commit below. If the repository does not have it, the script prints one line
# that says so, writes nothing and ends with 0.
set -eu
out=${1:-}
cd "$(dirname "$0")/../.."
before_releases=a0d45d8cfbae
ref=${2:-$(git describe --tags --abbrev=0 --match 'v*' HEAD^ 2>/dev/null || echo "$before_releases")}
if ! git cat-file -e "$ref^{commit}" 2>/dev/null; then # a shallow clone
    git fetch --quiet --unshallow --tags 2>/dev/null || true
fi
if ! git cat-file -e "$ref^{commit}" 2>/dev/null; then
    echo "UPGRADE NOT TESTED: the mixed fleet runs without the previous release, because this clone has no commit $ref (git fetch --unshallow)" >&2
    exit 0
fi
[ -n "$out" ] || exit 0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
git archive "$ref" | tar -x -C "$dir"
go -C "$dir" build -trimpath -ldflags '-s -w' -o "$out" ./cmd/loginhub
