#!/usr/bin/env bash
# Usage: scripts/fuzz.sh FUZZTIME
# Runs every fuzz target of the module in turn, each for FUZZTIME (30s, 5m).
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:?usage: scripts/fuzz.sh FUZZTIME}

# go test -list prints the names of a package's targets, then its "ok" line.
targets=()
names=()
listing=$(go test -list '^Fuzz' ./...)
while read -r first second _; do
  case $first in
    Fuzz*) names+=("$first") ;;
    ok)
      for name in ${names[@]+"${names[@]}"}; do targets+=("$second $name"); done
      names=()
      ;;
  esac
done <<<"$listing"

if ((${#targets[@]} == 0)); then
  echo "arpc: no fuzz target found" >&2
  exit 1
fi
for target in "${targets[@]}"; do
  read -r package name <<<"$target"
  scripts/step.sh "fuzz $name for $fuzztime" go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime"
done
