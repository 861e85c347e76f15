#!/usr/bin/env bash
# Usage: scripts/slow.sh [RUNS]
# What takes too long for every day: the Go tests over and over, each time in
# another order, what they do a tenth of as a whole, and the libraries' tests on a
# 32-bit platform.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-10}

for ((run = 1; run <= runs; run++)); do
  scripts/step.sh "go test -race, run $run of $runs" go test -race -shuffle=on -count=1 ./...
done

# What every day runs a tenth of, whole: each prints its figures.
ARPC_SLOW=1 scripts/step.sh "topics, whole" go test -count=1 -timeout 20m -v -run 'Order|Recovery|Race|DoesNotRead' ./pubsub
ARPC_SLOW=1 scripts/step.sh "topics between Go and Node, whole" go test -count=1 -timeout 20m -v -run Mixed ./internal/mixed

ARPC_SLOW=1 scripts/step.sh "sessions cut at every byte" go test -count=1 -timeout 20m -v -run EveryByte ./internal/cuts
ARPC_SLOW=1 scripts/step.sh "sessions cut 20,000 times under load" go test -count=1 -timeout 30m -v -run Chaos ./internal/cuts
ARPC_SLOW=1 scripts/step.sh "10,000 parked sessions, 2,000 in a storm" go test -count=1 -timeout 20m -v -run 'Parked|Storm|Race|Confirms' ./internal/sessions

scripts/step.sh "peers as a model, with sessions and without, over 100,000 steps" go test -count=1 -timeout 20m -run TestModel . -rapid.checks=5000
ARPC_SLOW=1 scripts/step.sh "both journals of a session as a model, 100,000 steps" \
  npm run --silent test -w web/arpc-js -- test/resume.fuzz

ARPC_SLOW=1 scripts/step.sh "topics that survive kill -9, whole" go test -count=1 -timeout 20m -v -run 'Kill|Restart|Failure|Damage|Full' ./pubsub/bolt
ARPC_SLOW=1 CHROMIUM="$(scripts/require.sh chromium)" scripts/step.sh "pages across twenty kills of the server" \
  npm run --silent test:browser -w web/chat-demo/ui -- browser/restart.test.ts
ARPC_SLOW=1 CHROMIUM="$(scripts/require.sh chromium)" scripts/step.sh "a page across 30 lost networks and 20 dead sockets" \
  npm run --silent test:package -w web/arpc-js -- test/runtimes/session.test.ts

# The libraries, not the programs; alignment and the size of int differ here.
libraries=()
while read -r package; do
  case $package in
    */internal/* | */cmd/* | */web/*) ;;
    *) libraries+=("$package") ;;
  esac
done < <(go list ./...)
GOARCH=386 CGO_ENABLED=0 scripts/step.sh "go test on 386" go test -count=1 "${libraries[@]}"
