# arpc: `make run` starts the chat demo, `make test` proves everything.
# Needed: Go, Node and make. The rest is fetched on the way.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory
# A log is read without colours; not every tool looks whether it writes to one.
ifndef MAKE_TERMOUT
export NO_COLOR := 1
BIOME_FLAGS := --colors=off
endif

# Where the demo listens; with a PASSWORD its topics ask for it, without they are open.
HTTP_ADDR ?= localhost:8080
TCP_ADDR ?= localhost:8888
PASSWORD ?=
# Where the demo keeps what is said; empty, it forgets it when it ends.
DATA_DIR ?= .data
# How long each fuzz target runs.
FUZZTIME ?= 30s
# What is measured, how often, and for how many seconds each time.
BENCH ?= echo
ROUNDS ?= 3
SECONDS ?= 4
export HTTP_ADDR TCP_ADDR PASSWORD DATA_DIR

STEP := scripts/step.sh
TOOL := go tool -modfile=tools/go.mod
BIOME := npx --no-install biome
CLIENT := web/arpc-js
RUNTIMES := $(CLIENT)/test/runtimes
UI := web/chat-demo/ui
# Folders are among the sources, so that a deleted file counts as a change.
CLIENT_SOURCES := $(wildcard $(CLIENT)/*.json) tsconfig.base.json $(shell find $(CLIENT)/src $(CLIENT)/scripts)
UI_SOURCES := $(wildcard $(UI)/*.json $(UI)/*.html) tsconfig.base.json $(shell find $(UI)/src $(UI)/scripts)

.PHONY: help
help: ## Show this help
	@echo "usage: make TARGET [VARIABLE=value]"; echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s%s\n", $$1, $$2 }' Makefile

.PHONY: run
run: build ## Start the chat demo (HTTP_ADDR, TCP_ADDR, PASSWORD, DATA_DIR)
	@exec bin/chat-demo -http "$$HTTP_ADDR" -tcp "$$TCP_ADDR" -password "$$PASSWORD" -data "$$DATA_DIR"

.PHONY: test
test: versions requirements check test-go test-js ## Run everything that must pass before a change lands
	@echo "make test: all passed"

.PHONY: check
check: check-go check-js ## Look at the code without running it: format, vet, staticcheck, Biome, tsc, layers

.PHONY: slow
slow: build ## Run what takes long: ten rounds of the Go tests, 386, five minutes for each fuzz target
	@scripts/slow.sh 10
	@scripts/fuzz.sh 5m

.PHONY: fuzz
fuzz: versions ## Run every fuzz target for a while (FUZZTIME=30s)
	@scripts/fuzz.sh "$(FUZZTIME)"

# It takes minutes and a machine that does nothing else, so it is part of nothing.
.PHONY: bench
bench: versions ## Measure beside others (BENCH=echo|ws|latency|idle|durable|sessions|fanout, ROUNDS=3, SECONDS=4)
	@go -C bench build -o ../bin/bench .
	@bin/bench run $(BENCH) -rounds $(ROUNDS) -seconds $(SECONDS) $(if $(ONLY),-only '$(ONLY)') $(if $(LOADS),-loads '$(LOADS)') $(if $(PROFILE),-profile)

.PHONY: build
build: versions $(UI)/dist/index.html ## Build arpc-js, the page and the demo's binary, bin/chat-demo
	@go build -o bin/chat-demo ./web/chat-demo

.PHONY: screenshot
screenshot: build ## Make the picture of the demo again
	@CHROMIUM="$$(scripts/require.sh chromium)" npm run --silent screenshot -w $(UI)

.PHONY: fmt
fmt: versions node_modules/.package-lock.json ## Format everything, sort imports, mend what can be mended safely
	@$(TOOL) gofumpt -w .
	@$(BIOME) check --write .

.PHONY: versions
versions:
	@scripts/versions.sh

# Before minutes of work, not after them.
.PHONY: requirements
requirements:
	@scripts/require.sh cc >/dev/null
	@scripts/require.sh nginx >/dev/null
	@scripts/require.sh caddy >/dev/null
	@scripts/require.sh chromium >/dev/null

.PHONY: check-go
check-go: versions
	@$(STEP) "gofumpt (make fmt mends it)" $(TOOL) gofumpt -d .
	@$(STEP) "go vet" go vet ./...
	@$(STEP) "staticcheck" $(TOOL) staticcheck ./...
	@$(STEP) "layers" go test ./internal/layers
	@$(STEP) "vet and staticcheck in tools" bash -c 'cd tools && go vet ./... && go tool staticcheck ./...'
	@$(STEP) "vet and staticcheck in bench" bash -c 'cd bench && go vet ./... && go tool -modfile=../tools/go.mod staticcheck ./...'
	@$(STEP) "vet and staticcheck in examples/quic" bash -c 'cd examples/quic && go vet ./... && go tool -modfile=../../tools/go.mod staticcheck ./...'

.PHONY: check-js
check-js: versions $(CLIENT)/dist/index.js
	@$(STEP) "biome (make fmt mends most)" $(BIOME) ci --error-on-warnings $(BIOME_FLAGS) .
	@$(STEP) "tsc" npm run --silent check --workspaces

.PHONY: test-go
test-go: build
	@$(STEP) "go test -race" go test -race -shuffle=on ./...
	@$(STEP) "go test in tools" go -C tools test -count=1 ./...
	@$(STEP) "go test in bench" go -C bench test ./...
	@$(STEP) "go test in examples/quic" go -C examples/quic test ./...

.PHONY: test-js
test-js: build $(RUNTIMES)/node_modules/.package-lock.json
	@$(STEP) "vitest" npm run --silent test --workspaces
	@$(STEP) "size of arpc-js" npm run --silent size -w $(CLIENT)
	@CHROMIUM="$$(scripts/require.sh chromium)" $(STEP) "arpc-js, packed, in every runtime" npm run --silent test:package -w $(CLIENT)
	@CHROMIUM="$$(scripts/require.sh chromium)" $(STEP) "browser test" npm run --silent test:browser -w $(UI)

node_modules/.package-lock.json: package-lock.json .npmrc
	@$(STEP) "npm ci" npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# What the package is tried with, apart from what it is made with.
$(RUNTIMES)/node_modules/.package-lock.json: $(RUNTIMES)/package-lock.json $(RUNTIMES)/.npmrc
	@$(STEP) "npm ci of the runtimes" npm ci --prefix $(RUNTIMES) --ignore-scripts --no-audit --no-fund
	@touch $@

$(CLIENT)/dist/index.js: node_modules/.package-lock.json $(CLIENT_SOURCES)
	@$(STEP) "build arpc-js" npm run --silent build -w $(CLIENT)
	@touch $@

$(UI)/dist/index.html: $(CLIENT)/dist/index.js $(UI_SOURCES)
	@$(STEP) "build the page" npm run --silent build -w $(UI)
	@touch $@
