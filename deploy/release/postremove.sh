#!/bin/sh
# After a removal (dpkg: `remove` or `purge`, rpm: 0). A purge removes settings and
# secrets. The audit log in /var/log/loginhub and the user stay.
set -e
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf "${DPKG_ROOT:-}/etc/loginhub"
fi
