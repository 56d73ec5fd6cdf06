#!/bin/sh
# After an installation or an upgrade. dpkg calls it with `configure OLD-VERSION`, rpm
# with the number of versions that are installed now. DPKG_ROOT is dpkg's --root.
set -e
case $1 in
configure) old=${2:-} ;;
1) old="" ;;
[2-9]) old=yes ;;
*) exit 0 ;;
esac
root=${DPKG_ROOT:-}
systemd-sysusers --root="$root/" loginhub.conf
running=""
[ -n "$root" ] || [ ! -d /run/systemd/system ] || running=yes
[ -z "$running" ] || systemctl daemon-reload

if [ -n "$old" ]; then
	# A running node drains and starts again. Upgrade one node after the other.
	[ -z "$running" ] || systemctl try-restart loginhub.service
	exit 0
fi
group=loginhub # of the system, which may have it from LDAP
# In DPKG_ROOT by number, because the group may exist only there.
[ -z "$root" ] || group=$(sed -n 's/^loginhub:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group")
chgrp "$group" "$root/etc/loginhub" "$root/etc/loginhub/loginhub.yaml"
cat <<END
loginhub is installed. It does not run yet:
  1. edit /etc/loginhub/loginhub.yaml, and write the files of secrets that it names; the
     keys are the same on all nodes, so once:
     loginhub keygen | install -m 640 -g loginhub /dev/stdin /etc/loginhub/keys
  2. loginhub config check --config /etc/loginhub/loginhub.yaml
  3. systemctl enable --now loginhub
END
