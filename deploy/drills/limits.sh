#!/bin/sh
# A node with a small file limit gets too many pages, which then reconnect in a loop.
. "$(dirname "$0")/lib.sh"
FILES=400 SETTINGS=LOGINHUB_MAX_SOCKETS=250 # such a node has at most 252 connections
needs nodes prometheus
healthy
on 2

say "pages use up the connections"
hold() { # 4 polls for a ticket
    new_ticket
    curl -sS --max-time 60 -Z --parallel-immediate --parallel-max 4 -H "Authorization: Bearer $secret" -o /dev/null "$URL/api/login/tickets/$ticket/poll?after=1&wait=55&n=[1-4]" 2>/dev/null &
    pages="${pages:-} $!"
}
for _ in $(seq 62); do hold; done
alert LoginhubNearSocketLimit
alert LoginhubNearFileLimit
runbook near-limits
kill $pages 2>/dev/null || true # those that the node has refused have ended
over LoginhubNearSocketLimit
say "the node gets a higher file limit"
FILES=4096
runbook restart
over LoginhubNearFileLimit

say "pages reconnect in a loop"
storm() { # until Prometheus has seen enough of it
    new_ticket
    curl -s --max-time 0.5 -Z --parallel-max 300 -o /dev/null --http1.1 -H 'Upgrade: websocket' -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: 13' \
        -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' -H "Sec-WebSocket-Protocol: loginhub.v1, loginhub.secret.$secret" \
        "$URL/api/login/tickets/$ticket/ws?n=[1-2000]" || true
    raised LoginhubReconnectStorm
}
within 90 storm
alert LoginhubReconnectStorm
runbook reconnects
healthy
