#!/bin/sh
# Makes the secrets that compose.yaml reads: secrets.sh [DIR], by default
# deploy/secrets, which Git ignores. What is there stays as it is. With
# LOGINHUB_REDIS_PREFIX the Redis user's rights are for that prefix.
set -eu
prefix=${LOGINHUB_REDIS_PREFIX:-loginhub}
prefix=${prefix%:}
case $prefix in
*[!A-Za-z0-9._-]*)
	echo "secrets.sh: LOGINHUB_REDIS_PREFIX: letters, digits, dots, dashes and underscores" >&2
	exit 2
	;;
esac
here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$here/secrets}
umask 077
mkdir -p "$dir"
if [ -e "$dir/keys" ]; then
	echo "secrets.sh: $dir has its secrets already" >&2
	exit 0
fi

# 32 random bytes, base64url, as `loginhub keygen` prints them.
random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

hash() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

password=$(random)
admin=$(random)
nobody=0000000000000000000000000000000000000000000000000000000000000000
sed -e "/^user loginhub /s/ ~loginhub:/ ~$prefix:/" -e "/^user loginhub /s/ &loginhub:/ \\&$prefix:/" \
	-e "/^user loginhub /s/#$nobody/#$(hash "$password")/" -e "/^user admin /s/#$nobody/#$(hash "$admin")/" \
	"$here/redis/users.acl" >"$dir/users.acl"
printf 'redis://loginhub:%s@redis:6379/0\n' "$password" >"$dir/redis-url"
# The operator's, for redis-cli --user admin --askpass: no container sees it.
printf '%s\n' "$admin" >"$dir/redis-admin"
# A line of its own: a new key is appended as the next one.
printf '%s\n' "$(random)" >"$dir/keys"
# The containers' users read them; the folder keeps this machine's others out.
chmod 644 "$dir/users.acl" "$dir/redis-url" "$dir/keys"
