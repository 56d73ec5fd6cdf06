#!/bin/sh
# Makes the secrets that compose.yaml reads: secrets.sh [DIR], by default
# deploy/secrets, which Git ignores. What is there stays as it is.
set -eu
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

password=$(random)
hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
nobody=0000000000000000000000000000000000000000000000000000000000000000
sed "s/#$nobody/#$hash/" "$here/redis/users.acl" >"$dir/users.acl"
printf 'redis://loginhub:%s@redis:6379/0\n' "$password" >"$dir/redis-url"
random >"$dir/keys"
# The containers' users read them; the folder keeps this machine's others out.
chmod 444 "$dir/users.acl" "$dir/redis-url" "$dir/keys"
