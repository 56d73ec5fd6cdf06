#!/bin/sh
# A site is switched off at one node and on again at another.
. "$(dirname "$0")/lib.sh"
needs nodes prometheus
new_ticket
waiting="$ticket $secret"
runbook switch-off
alert LoginhubSiteSwitchedOff
on 2
within 5 site_off
ticket=${waiting% *} secret=${waiting#* }
[ "$(phone confirm)" = 403 ] || fail "a confirm of a site that is off"
say "restarted nodes have the switch too"
runbook restart
site_off
runbook switch-on
over LoginhubSiteSwitchedOff
healthy
