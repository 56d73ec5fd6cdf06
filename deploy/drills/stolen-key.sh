#!/bin/sh
# A key was stolen; while it is rotated, one node is forgotten.
. "$(dirname "$0")/lib.sh"
needs nodes prometheus
healthy
find_kid() { KID=$(curl -sS "$URL/.well-known/jwks.json" | tr '{' '\n' | grep Ed25519 | sed -n "$1p" | json kid); }
find_kid 1
stolen=$KID
new_ticket # sealed under the stolen key
open="$ticket $secret"

say "one node has a new key in front that the other lacks"
runbook keys-append
runbook keys-front
runbook reload
new_ticket
runbook switch-off
runbook switch-on
on 2
for _ in $(seq 8); do view >/dev/null; done
alert LoginhubKeysDiffer
runbook keys-differ
alert LoginhubSwitchUnreadable
runbook switch-unreadable
cp "$DIR/node1/keys" "$KEYS"
runbook reload
healthy

say "the stolen key"
on 1
runbook stolen-key-find
KID=$stolen
runbook stolen-key-revoke
ticket=${open% *} secret=${open#* }
on 2
gone() { view | grep ticket_not_found; }
within 5 gone
for node in $NODES; do
    on "$node"
    runbook keys-remove
    runbook reload
    find_kid 2
    [ -z "$KID" ] || fail "the stolen key is still published"
done
healthy
