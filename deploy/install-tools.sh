#!/bin/sh
# Installs Debian packages that tests need: install-tools.sh [PACKAGE]...
set -eu
[ $# -gt 0 ] || exit 0
echo "The tests need: $*"
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if ! command -v apt-get >/dev/null || ! $sudo true 2>/dev/null; then
  echo "Install them with your package manager, then run this again."
  echo "On Debian and Ubuntu: sudo apt-get install $*"
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq "$@" >/dev/null
