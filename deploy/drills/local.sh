# A disposable system for a drill, on this machine: Redis, two nodes in the sandbox,
# Prometheus. needs starts its parts; everything ends with the drill. DRILL_PROGRAM
# is the program (default: built from this tree), DRILL_PORTS eight free ports.
DIR=$(mktemp -d)
PROGRAM=${DRILL_PROGRAM:-}
SITE=demo
NODES="1 2"
set -- ${DRILL_PORTS:-17001 17002 17003 17004 17005 17006 17007 17008}
REDIS_PORT=$1 REPLICA_PORT=$2 SENTINEL_PORT=$3 PROMETHEUS=http://127.0.0.1:$8
port1=$4 admin1=$5 port2=$6 admin2=$7
USERS=$DIR/users.acl

trap 'stop_all' EXIT
trap 'exit 1' INT TERM
stop_all() {
    code=$?
    for file in "$DIR"/*.pid; do
        [ -e "$file" ] || continue
        kill -CONT "$(cat "$file")" 2>/dev/null || true
        kill -KILL "$(cat "$file")" 2>/dev/null || true
    done
    if [ "$code" != 0 ]; then tail -n 12 "$DIR"/*.log >&2; fi
    wait
    rm -rf "$DIR"
    exit "$code"
}

# run NAME COMMAND... starts a program in the background.
run() {
    name=$1
    shift
    "$@" >>"$DIR/$name.log" 2>&1 &
    echo $! >"$DIR/$name.pid"
}
pid() { cat "$DIR/$1.pid"; }
# end NAME SIGNAL ends a program.
end() {
    kill "-$2" "$(pid "$1")"
    wait "$(pid "$1")" || true
    rm "$DIR/$1.pid"
}

needs() {
    if [ -z "$PROGRAM" ]; then
        PROGRAM=$DIR/loginhub
        go -C "$DRILLS/../.." build -o "$PROGRAM" ./cmd/loginhub
    fi
    sed -e "/^user loginhub /s/#0*/#$(digest hunter2)/" -e "/^user admin /s/#0*/#$(digest root)/" "$DRILLS/../redis/users.acl" >"$USERS"
    printf 'user replica on #%s -@all +psync +replconf +ping\n' "$(digest copy)" >>"$USERS"
    sed -n "s/^# *user sentinel on #HASH/user sentinel on #$(digest watch)/p" "$DRILLS/../redis/redis.conf" >>"$USERS"
    printf 'clients:\n  - {id: %s, origins: [http://127.0.0.1]}\n' "$SITE" >"$DIR/clients.yaml"
    printf '%s' "${MORE_CLIENTS:-}" >>"$DIR/clients.yaml"
    REDIS_URL=redis://loginhub:hunter2@127.0.0.1:$REDIS_PORT/0
    start_redis
    for part; do "start_$part"; done
}
digest() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

admin() { curl -sSf -H "Authorization: Bearer $(cat "$DIR/admin-token")" "$@"; }
redis() { redis-cli -p "$REDIS_PORT" --user admin --pass root --no-auth-warning "$@"; }
sentinel() { redis-cli -p "$SENTINEL_PORT" "$@"; }
redis_server() { # with SIGXFSZ ignored, a file size limit is what a full disk is: writes fail
    mkdir -p "$DIR/$1"
    cp "$DRILLS/../redis/redis.conf" "$DIR/$1/redis.conf" # a failover rewrites it
    trap '' XFSZ
    run "$@" --bind 127.0.0.1 --dir "$DIR/$1" --aclfile "$USERS" --masteruser replica --masterauth copy --repl-diskless-sync-delay 0
    trap - XFSZ
}
start_redis() {
    redis_server redis redis-server "$DIR/redis/redis.conf" --port "$REDIS_PORT" "$@"
    within 10 redis PING
}
start_replica() {
    redis_server replica redis-server "$DIR/replica/redis.conf" --port "$REPLICA_PORT" --replicaof "127.0.0.1 $REDIS_PORT"
    within 20 linked "$REPLICA_PORT"
}
master() { redis -p "$1" INFO replication | grep role:master; }
linked() { redis -p "$1" INFO replication | grep master_link_status:up; }
start_sentinel() {
    cat >"$DIR/sentinel.conf" <<END
port $SENTINEL_PORT
bind 127.0.0.1
dir $DIR
sentinel monitor hub 127.0.0.1 $REDIS_PORT 1
sentinel auth-user hub sentinel
sentinel auth-pass hub watch
sentinel down-after-milliseconds hub 5000
sentinel failover-timeout hub 10000
END
    run sentinel redis-server "$DIR/sentinel.conf" --sentinel
    within 20 knows_replica
    REDIS_URL="redis://127.0.0.1:$SENTINEL_PORT/0?master_name=hub&username=loginhub&password=hunter2"
}
knows_replica() { sentinel SENTINEL MASTER hub | grep -A 1 num-slaves | grep 1; }

start_nodes() {
    loginhub keygen >"$DIR/keys"
    loginhub keygen >"$DIR/admin-token"
    for node in $NODES; do
        mkdir "$DIR/node$node"
        cp "$DIR/keys" "$DIR/node$node/keys"
        eval "port=\$port$node admin=\$admin$node"
        cat >"$DIR/node$node/env" <<END
LOGINHUB_LISTEN=127.0.0.1:$port
LOGINHUB_ADMIN_LISTEN=127.0.0.1:$admin
LOGINHUB_PUBLIC_URL=http://127.0.0.1:$port1
LOGINHUB_REDIS_URL='$REDIS_URL'
LOGINHUB_ADMIN_TOKEN_FILE=$DIR/admin-token
LOGINHUB_KEYS_FILE=$DIR/node$node/keys
LOGINHUB_CLIENTS=$DIR/clients.yaml
LOGINHUB_AUDIT_FILE=$DIR/node$node/audit.log
LOGINHUB_SANDBOX=true
LOGINHUB_RATE_LIMIT=0
LOGINHUB_DRAIN=0s
${SETTINGS:-}
END
        if [ -n "${WECHAT_API:-}" ]; then
            echo old-secret >"$DIR/node$node/wechat"
            cat >>"$DIR/node$node/env" <<END
LOGINHUB_WECHAT_APP_ID=wxdrill
LOGINHUB_WECHAT_APP_SECRET_FILE=$DIR/node$node/wechat
LOGINHUB_WECHAT_API_URL=$WECHAT_API
END
        fi
        on "$node"
        systemctl start loginhub
    done
    for node in $NODES; do
        on "$node"
        within 30 loginhub health --ready
    done
    on 1
}

# on NODE chooses the node that the commands are for, as a login to its machine does.
on() {
    NODE=$1
    eval "URL=http://127.0.0.1:\$port$1 ADMIN=http://127.0.0.1:\$admin$1"
    KEYS=$DIR/node$1/keys AUDIT=$DIR/node$1/audit.log WECHAT_SECRET=$DIR/node$1/wechat ENV=$DIR/node$1/env
}
loginhub() ( # with the settings of the node
    if [ -n "${NODE:-}" ]; then
        set -a
        . "$ENV"
    fi
    exec "$PROGRAM" "$@"
)
# serve FILES is a node with that file limit.
serve() {
    ulimit -n "$1"
    set -a
    . "$ENV"
    exec "$PROGRAM"
}
systemctl() {
    case "$*" in
    "start loginhub") run "node$NODE" serve "${FILES:-4096}" ;;
    "restart loginhub")
        end "node$NODE" TERM
        systemctl start loginhub
        ;;
    "reload loginhub") kill -HUP "$(pid "node$NODE")" ;;
    "kill -s KILL loginhub") end "node$NODE" KILL ;;
    "start redis-server") start_redis ;;
    *) fail "systemctl $*" ;;
    esac
}
journalctl() { cat "$DIR/node$NODE.log"; }

# start_wechat starts the imitation of WeChat; the nodes use it in place of the sandbox.
start_wechat() {
    if [ -z "${DRILL_WECHAT:-}" ]; then
        DRILL_WECHAT=$DIR/wechat
        go -C "$DRILLS/../.." build -o "$DRILL_WECHAT" ./wechat/wechattest/server
    fi
    mkfifo "$DIR/wechat.in" # it runs as long as its input is open
    "$DRILL_WECHAT" wxdrill old-secret <"$DIR/wechat.in" >"$DIR/wechat.json" 2>"$DIR/wechat.log" &
    echo $! >"$DIR/wechat.pid"
    exec 9>"$DIR/wechat.in"
    within 10 grep control "$DIR/wechat.json"
    WECHAT_API=$(json api <"$DIR/wechat.json") WECHAT_CONTROL=$(json control <"$DIR/wechat.json")
}
wechat() { curl -sSf -X "$1" "$WECHAT_CONTROL$2"; }

start_prometheus() {
    sed -e 's/^\(  [a-z]*_\(interval\|timeout\)\): .*/\1: 1s/' -e "s/targets: .*/targets: [127.0.0.1:$admin1, 127.0.0.1:$admin2]/" \
        "$DRILLS/../prometheus/prometheus.yml" >"$DIR/prometheus.yml"
    cp "$DRILLS/../prometheus/alerts.yaml" "$DIR/alerts.yaml"
    run prometheus prometheus --config.file="$DIR/prometheus.yml" --storage.tsdb.path="$DIR/data" --web.listen-address="${PROMETHEUS#http://}"
    within 30 scraped
}
scraped() { query 'count(count_over_time(up[1m]) > 1)' | grep '"2"]'; }
