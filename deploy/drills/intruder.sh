#!/bin/sh
# Somebody who has the hub's Redis password writes into a ticket.
. "$(dirname "$0")/lib.sh"
needs nodes prometheus
healthy

say "a forged record"
new_ticket
key=$(redis --scan --pattern "*$ticket*")
redis-cli -p "$REDIS_PORT" --user loginhub --pass hunter2 --no-auth-warning HSET "$key" rec forged
case $(view) in *ticket_not_found*) ;; *) fail "the page gets $(view)" ;; esac
alert LoginhubBrokenSeals
runbook broken-seals

say "another password"
runbook redis-password
for node in $NODES; do
    on "$node"
    sed -i "s/hunter2/$PASSWORD/" "$ENV"
    runbook restart
done
runbook redis-password-old
redis-cli -p "$REDIS_PORT" --user loginhub --pass hunter2 --no-auth-warning PING 2>&1 | grep WRONGPASS || fail "the old password works"
healthy
