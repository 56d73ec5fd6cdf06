# Functions of the drills (README.md). Each drill begins with
#     . "$(dirname "$0")/lib.sh"
# DRILL_SYSTEM is a file that describes the system; by default it is local.sh, which
# starts one.
set -eu
DRILLS=$(cd "$(dirname "$0")" && pwd)

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# within SECONDS COMMAND... repeats the command until it succeeds. On a machine that is N
# times slower set DRILL_SLOWNESS=N.
within() {
    until_time=$(($(date +%s) + $1 * ${DRILL_SLOWNESS:-1}))
    shift
    until ("$@") >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$until_time" ] || fail "in time: $*"
        sleep 0.1
    done
}

# runbook NAME runs the commands of RUNBOOK.md after <!-- drill: NAME -->.
runbook() {
    commands=$(awk -v mark="<!-- drill: $1 -->" '$0 == mark { found = 1 } /^```$/ && on { exit } on; found && /^```sh$/ { on = 1 }' "$DRILLS/../RUNBOOK.md")
    [ -n "$commands" ] || fail "RUNBOOK.md has no commands $1"
    say "the runbook's commands $1"
    printf '%s\n' "$commands" | sed 's/^/+ /'
    eval "$commands"
}

# alert NAME waits until the expression of the alert has been true for Prometheus, over
# until it is not.
alert() {
    within 90 raised "$1"
    say "alert $1"
}
over() { within 90 silent "$1"; }
query() { curl -sSfG --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query"; }
raised() { query "count_over_time(ALERTS{alertname=\"$1\"}[5m])" | grep '"value"'; }
silent() { query "ALERTS{alertname=\"$1\"}" | grep '"result":\[\]'; }

# json FIELD prints a text field of the JSON on standard input.
json() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# call METHOD PATH [CURL'S OPTIONS] calls the hub.
call() {
    method=$1 path=$2
    shift 2
    curl -sS --max-time 15 -X "$method" -H 'Content-Type: application/json' "$@" "$URL/api/login/tickets$path"
}
status() { call "$@" -o /dev/null -w '%{http_code}'; }

# new_ticket makes what a page makes: $ticket and $secret. Like a page it tries again.
new_ticket() {
    secret=
    for _ in $(seq 20); do
        made=$(call POST '' -d "{\"client_id\":\"$SITE\"}" || true)
        ticket=$(echo "$made" | json ticket) secret=$(echo "$made" | json secret)
        [ -z "$secret" ] || return 0
        sleep 0.5
    done
    fail "no ticket: $made"
}
view() { call GET "/$ticket/poll?wait=0" -H "Authorization: Bearer $secret"; }

# phone ACTION scans or confirms with a fresh code of the sandbox, and prints the status.
phone() {
    code=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
    status POST "/$ticket/$1" -d "{\"provider\":\"sandbox\",\"code\":\"sandbox:drill:$code\"}"
}

# log_in makes a whole login: page, scan, confirm, token, acknowledgement.
log_in() {
    new_ticket
    [ "$(phone scan) $(phone confirm)" = "200 200" ] || fail "the phone was refused: $(view)"
    seq=$(view | sed -n 's/.*"seq":\([0-9]*\).*"token":"ey.*/\1/p')
    [ "$(status POST "/$ticket/ack" -H "Authorization: Bearer $secret" -d "{\"seq\":${seq:-0}}")" = 204 ] || fail "no token: $(view)"
}

site_off() { status POST '' -d "{\"client_id\":\"$SITE\"}" | grep 403; }

# healthy checks that all nodes are ready and make logins. It leaves node 1 chosen.
healthy() {
    for node in $NODES; do
        on "$node"
        within 30 loginhub health --ready
        within 30 log_in # a switch or another master may take seconds
    done
    on 1
    say "healthy"
}

. "${DRILL_SYSTEM:-$DRILLS/local.sh}"
