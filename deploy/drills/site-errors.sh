#!/bin/sh
# A site has a wrong secret, refuses logout tokens and fails for events; then the clients file is broken.
. "$(dirname "$0")/lib.sh"
echo 0123456789abcdef >"$DIR/shop-secret"
echo "whsec_$(openssl rand -base64 32)" >"$DIR/news-secret"
MORE_CLIENTS="  - {id: shop, secret_file: $DIR/shop-secret, redirect_uris: [https://shop.example/cb], id_token_alg: EdDSA, backchannel_logout_uri: 'http://127.0.0.1:$port1/missing'}
  - {id: news, origins: [http://127.0.0.1:$port1], events: {url: 'http://127.0.0.1:$port1/missing', secret_file: $DIR/news-secret}}
"
needs nodes prometheus
healthy

say "the site has a wrong secret"
token() { curl -sS -o /dev/null -w '%{http_code}' -u "shop:$1" -d 'grant_type=authorization_code&code=none' "$URL/oauth2/token"; }
for _ in $(seq 15); do [ "$(token wrong-secret-0123)" = 401 ] || fail "the wrong secret is accepted"; done
alert LoginhubClientSecretRefused
runbook client-secret
[ "$(token 0123456789abcdef)" = 400 ] || fail "the secret is refused" # the code is wrong

say "the site refuses a logout token"
SITE=shop SUB=sandbox:drill
runbook logout-again
alert LoginhubLogoutTokensFail
runbook logout-fails

say "the site does not take an event"
SITE=news
log_in
alert LoginhubEventsNotDelivered
runbook events-fail
SITE=demo

say "the clients file is broken"
cp "$DIR/clients.yaml" "$DIR/good.yaml"
echo '  - {id: shop' >>"$DIR/clients.yaml"
runbook reload
alert LoginhubReloadRefused
runbook reload-refused
cp "$DIR/good.yaml" "$DIR/clients.yaml"
runbook reload
over LoginhubReloadRefused
healthy
