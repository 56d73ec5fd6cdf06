#!/bin/sh
# The master of Redis dies. Confirms wait for a replica (LOGINHUB_REDIS_WAIT=1).
. "$(dirname "$0")/lib.sh"
SETTINGS=LOGINHUB_REDIS_WAIT=1
needs replica sentinel nodes prometheus
healthy

say "the master dies"
end redis KILL
alert LoginhubMailboxProbeLate
alert LoginhubTooFewReady
runbook too-few-ready
elected() { sentinel SENTINEL GET-MASTER-ADDR-BY-NAME hub | grep "$REPLICA_PORT"; }
within 40 elected
old=$REDIS_PORT REDIS_PORT=$REPLICA_PORT # redis() is the new master
runbook failover
over LoginhubMailboxProbeLate

say "the new master has no replica, so confirms are refused"
on 2
within 30 loginhub health --ready
new_ticket
[ "$(phone confirm)" = 503 ] || fail "a confirm without a replica"
alert LoginhubReplicasMissing
runbook replicas-missing
REDIS_PORT=$old
systemctl start redis-server
within 40 linked "$old"
healthy
over LoginhubTooFewReady

say "back to the old master"
REDIS_PORT=$REPLICA_PORT
runbook failover-switch
within 40 master "$old"
within 40 linked "$REPLICA_PORT"
REDIS_PORT=$old
healthy
