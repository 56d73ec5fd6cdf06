#!/bin/sh
# Redis loses everything. Confirmed logins do not reach their pages; a site that is off
# stays off.
. "$(dirname "$0")/lib.sh"
needs nodes prometheus
healthy

say "the data is lost while pages wait for their tokens"
for _ in $(seq 25); do
    new_ticket
    [ "$(phone confirm)" = 200 ] || fail "the phone was refused"
done
runbook switch-off
redis FLUSHALL
case $(view) in *ticket_not_found*) ;; *) fail "the page gets $(view)" ;; esac # it renews its code
alert LoginhubUndeliveredConfirmations
runbook undelivered
runbook lost-data | grep '"enabled":false' || fail "the site is on"
for node in $NODES; do # the node that had the call writes the switch again
    on "$node"
    within 5 site_off
done
runbook switch-on
healthy
