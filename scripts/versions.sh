#!/usr/bin/env bash
# Fails, with what to do, when Go or Node is missing or too old. go.mod and
# package.json say what is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  printf 'arpc: %s\n' "$1" >&2
  exit 1
}

# at_least HAVE WANT: both major.minor[.more]
at_least() {
  local have want
  IFS=. read -r -a have <<<"$1"
  IFS=. read -r -a want <<<"$2"
  ((have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1])))
}

want_go=$(sed -n 's/^go \([0-9.]*\)$/\1/p' go.mod)
want_node=$(sed -n 's/.*"node": ">=\([0-9.]*\)".*/\1/p' package.json)

command -v go >/dev/null || die "Go $want_go or newer is needed: https://go.dev/dl/"
have_go=$(go env GOVERSION 2>/dev/null) ||
  die "Go $want_go or newer is needed, this one cannot switch to it: https://go.dev/dl/"
[[ $have_go =~ [0-9]+\.[0-9]+ ]] && at_least "${BASH_REMATCH[0]}" "$want_go" ||
  die "Go $want_go or newer is needed, this is $have_go: https://go.dev/dl/"

command -v node >/dev/null || die "Node $want_node or newer is needed: https://nodejs.org/en/download"
command -v npm >/dev/null || die "npm is needed, it comes with Node: https://nodejs.org/en/download"
have_node=$(node --version)
have_node=${have_node#v}
at_least "$have_node" "$want_node" || die "Node $want_node or newer is needed, this is $have_node: https://nodejs.org/en/download"
