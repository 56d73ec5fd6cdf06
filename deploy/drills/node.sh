#!/bin/sh
# A node hangs, and is killed.
. "$(dirname "$0")/lib.sh"
needs nodes prometheus
healthy
on 2

seen() { query "changes(process_start_time_seconds{instance=\"${ADMIN#http://}\"}[5m])" | grep "\"$(($1 + 1))\"\]"; } # one was before

say "a node waits for its processor: the push comes late"
new_ticket
call GET "/$ticket/poll?wait=20&after=1" -H "Authorization: Bearer $secret" >"$DIR/view" &
waiting=$!
attached() { redis HGET "$(redis --scan --pattern "*$ticket*")" nodes | grep .; }
within 10 attached
kill -STOP "$(pid node2)"
on 1
[ "$(phone confirm)" = 200 ] || fail "the confirm"
sleep 1.5
kill -CONT "$(pid node2)"
wait "$waiting"
grep -q '"token"' "$DIR/view" || fail "no token"
alert LoginhubConfirmToPushSlow
on 2
runbook push-slow

say "the node hangs"
kill -STOP "$(pid node2)"
alert LoginhubNodeHangs
alert LoginhubTooFewReady
runbook node-hangs
over LoginhubNodeHangs
alert LoginhubNodeGone
runbook node-gone
over LoginhubNodeGone
over LoginhubTooFewReady

say "the node ends again and again"
for n in 1 2 3 4 5; do
    systemctl restart loginhub
    within 60 seen "$n"
done
alert LoginhubRestarts
runbook restarts
healthy
