#!/bin/sh
# package.sh VERSION FOLDER: writes the chart as FOLDER/loginhub-VERSION.tgz, as
# `helm package` does. The links to the alerts and the dashboard become files, and the same
# tree makes the same bytes. Needs GNU tar.
set -eu
version=${1#v} folder=$(mkdir -p "$2" && cd "$2" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cd "$(dirname "$0")"
cp -RL . "$build/loginhub"
rm "$build/loginhub/package.sh"
sed -e "s/^version: .*/version: $version/" -e "s/^appVersion: .*/appVersion: v$version/" Chart.yaml > "$build/loginhub/Chart.yaml"
tar -C "$build" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf - loginhub | gzip -9n > "$folder/loginhub-$version.tgz"
