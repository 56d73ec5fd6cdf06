#!/bin/sh
# WeChat's console has made a new secret; the nodes still have the old one. Then an app
# sends codes that are not for the hub.
. "$(dirname "$0")/lib.sh"
needs wechat nodes prometheus
confirm_with_wechat() {
    new_ticket
    status POST "/$ticket/confirm" -d "{\"provider\":\"wechat\",\"code\":\"$(wechat POST /code?user=drill)\"}"
}
[ "$(confirm_with_wechat)" = 200 ] || fail "no login with the old secret"

wechat POST /secret?value=new-secret
for _ in $(seq 8); do [ "$(confirm_with_wechat)" = 502 ] || fail "WeChat accepts the old secret"; done
alert LoginhubWeChatErrors
alert LoginhubPhoneCallsFail
runbook phone-calls-fail
for node in $NODES; do
    on "$node"
    runbook wechat-errors || true # check says what is wrong
    echo new-secret >"$DIR/new"
    runbook wechat-secret <"$DIR/new"
    [ "$(confirm_with_wechat)" = 200 ] || fail "no login with the new secret"
done
say "codes of another application"
for _ in $(seq 25); do
    new_ticket
    [ "$(status POST "/$ticket/confirm" -d '{"provider":"wechat","code":"of-another-app"}')" = 422 ] || fail "WeChat accepts the code"
done
alert LoginhubCodesRefused
runbook phone-calls-fail
[ "$(confirm_with_wechat)" = 200 ] || fail "no login"
say "healthy"
