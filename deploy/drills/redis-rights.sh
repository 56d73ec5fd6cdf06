#!/bin/sh
# After an upgrade the users.acl of Redis lacks a right of the hub's.
. "$(dirname "$0")/lib.sh"
needs nodes prometheus
healthy

cp "$USERS" "$DIR/good.acl"
sed -i '/^user loginhub /s/ +hset//' "$USERS"
redis ACL LOAD
for _ in $(seq 60); do status POST '' -d "{\"client_id\":\"$SITE\"}" >/dev/null; done
alert LoginhubRedisErrors
runbook redis-errors | grep -A 1 object | grep hset || fail "the missing right is not named"
cp "$DIR/good.acl" "$USERS"
runbook redis-acl
healthy
