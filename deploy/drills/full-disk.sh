#!/bin/sh
# The disks of Redis and of the audit log are full.
. "$(dirname "$0")/lib.sh"
SETTINGS=LOGINHUB_AUDIT_CHAIN=true
needs nodes prometheus
healthy

say "Redis's disk is full"
prlimit --pid "$(pid redis)" --fsize=1:unlimited
alert LoginhubMailboxProbeLate
stalled() { journalctl | grep 'this node is stalled'; }
within 10 stalled
runbook probe-late
runbook full-disk
refused() {
    for _ in $(seq 10); do [ "$(status POST '' -d "{\"client_id\":\"$SITE\"}")" = 503 ] || fail "a ticket without Redis"; done
    raised LoginhubServerErrors
}
within 40 refused
alert LoginhubServerErrors
runbook server-errors
prlimit --pid "$(pid redis)" --fsize=unlimited:unlimited
runbook full-disk-over
over LoginhubMailboxProbeLate
healthy

say "the audit log's disk is full"
mv "$AUDIT" "$AUDIT.1"
ln -s /dev/full "$AUDIT"
audited() {
    log_in
    raised LoginhubLogStalled
}
within 30 audited
alert LoginhubLogStalled
runbook log-stalled
rm "$AUDIT"
over LoginhubLogStalled
grep -q '"login consumed"' "$AUDIT" || fail "lines are missing"
cd "$DIR"
runbook audit-verify
healthy
