#!/usr/bin/env bash
# Usage: scripts/step.sh NAME COMMAND [ARGS...]
# Runs one step of a longer job: says which one, how it ended and how long it took.
set -euo pipefail

name=$1
shift
printf '==> %s\n' "$name"
started=$SECONDS
if "$@"; then
  printf '<== %s: ok, %d s\n' "$name" $((SECONDS - started))
else
  status=$?
  printf '<== %s: FAILED with status %d after %d s: %s\n' "$name" "$status" $((SECONDS - started)) "$*" >&2
  exit "$status"
fi
