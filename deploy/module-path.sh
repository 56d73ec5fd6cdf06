#!/bin/sh
# Gives the project another module path: module-path.sh example.com/team/loginhub. It
# rewrites go.mod, imports, scripts and documents. Run it again to change the path again.
set -eu
cd "$(dirname "$0")/.."
new=${1:?usage: module-path.sh MODULE, for example example.com/team/loginhub}
case $new in
*[!A-Za-z0-9._~/-]* | /* | */ | *//*)
	echo "module-path.sh: $new is not a module path: letters, digits and . _ ~ - / only" >&2
	exit 1
	;;
esac
old=$(sed -n 's/^module //p' go.mod)
export old new
find . \( -name node_modules -o -name .git \) -prune -o -type f \
	\( -name '*.go' -o -name go.mod -o -name '*.md' -o -name '*.yml' -o -name '*.yaml' -o -name '*.sh' -o -name '*.js' -o -name Dockerfile \) -print |
	xargs perl -pi -e 's{(?<![\w./~-])\Q$ENV{old}\E(?=/(?:(?:api|cmd|hub|wechat|frontend|deploy)\b|"|\.\.\.))}{$ENV{new}}g; s{^(module|replace|require) \Q$ENV{old}\E(?=$| )}{$1 $ENV{new}}'
