#!/bin/sh
# Before a removal (dpkg: `remove`, rpm: 0), not before an upgrade.
set -e
case $1 in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl disable --now loginhub.service
fi
