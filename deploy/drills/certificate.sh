#!/bin/sh
# The public certificate of a node has almost expired.
. "$(dirname "$0")/lib.sh"
cd "$DIR"
TLS_CERT=$DIR/tls.crt TLS_KEY=$DIR/tls.key
issue() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days "$1" -keyout "$2.key" -out "$2.crt" 2>"$DIR/openssl.log"; }
issue 2 tls
issue 90 renewed
SETTINGS="LOGINHUB_TLS_CERT=$TLS_CERT
LOGINHUB_TLS_KEY=$TLS_KEY"
needs nodes prometheus

alert LoginhubCertificateExpires
runbook certificate-expires
runbook certificate
over LoginhubCertificateExpires
for node in $NODES; do
    on "$node"
    served() { openssl s_client -connect "${URL#*://}" </dev/null 2>/dev/null | openssl x509 -noout -checkend 864000; }
    within 10 served
done
say "both nodes serve the renewed certificate"
