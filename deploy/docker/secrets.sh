#!/bin/sh
# Creates the secrets that compose.yaml reads: secrets.sh [DIR], by default
# deploy/secrets, which Git ignores. Existing secrets are kept. With
# LOGINHUB_REDIS_PREFIX the Redis user gets the rights of that prefix.
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

# 32 random bytes, base64url, as `loginhub keygen` prints them.
random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

# For the operator and the hubs: the admin addresses demand it.
if [ ! -e "$dir/admin-token" ]; then
	printf '%s\n' "$(random)" >"$dir/admin-token"
	chmod 644 "$dir/admin-token"
fi
if [ -e "$dir/keys" ]; then
	echo "secrets.sh: $dir already has its secrets" >&2
	exit 0
fi

hash() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

password=$(random)
admin=$(random)
unset_hash=0000000000000000000000000000000000000000000000000000000000000000
sed -e "/^user loginhub /s/ ~loginhub:/ ~$prefix:/" -e "/^user loginhub /s/ &loginhub:/ \\&$prefix:/" \
	-e "/^user loginhub /s/#$unset_hash/#$(hash "$password")/" -e "/^user admin /s/#$unset_hash/#$(hash "$admin")/" \
	"$here/redis/users.acl" >"$dir/users.acl"
printf 'redis://loginhub:%s@redis:6379/0\n' "$password" >"$dir/redis-url"
# For the operator, with redis-cli --user admin --askpass. No container gets it.
printf '%s\n' "$admin" >"$dir/redis-admin"
# One key a line: a new key is appended as the next line.
printf '%s\n' "$(random)" >"$dir/keys"
# The containers' users read them. The folder is closed to this machine's other users.
chmod 644 "$dir/users.acl" "$dir/redis-url" "$dir/keys"
