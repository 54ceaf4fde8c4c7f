# Go and make are all that is needed; the race detector wants a C compiler beside them.

GO       ?= go
FUZZTIME ?= 60s
TIMEOUT  ?= 15m
ARGS     ?=

# Applications on unet, in a module of their own.
APPS = examples/apps
# The modules that lint and test check.
MODULES = . benchmarks $(APPS)
# What stands between go and the name of a tool. The tools have a module of their own, which users of unet never load.
TOOL = tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: demo run test race lint fuzz-short fuzz-state bench lab lab-linux scripts-linux cost million foreign soak build-all

# Both servers over a TAP in a namespace of their own, with a kernel client.
demo:
	$(GO) run ./examples/demo $(ARGS)

# The example server; ARGS="-server fasthttp -listen :8080" and so on.
run:
	$(GO) run ./examples/http $(ARGS)

# Tests make the network namespaces that they need. Those of many connections, of many worlds
# and of a long stream have all of them without the race detector only.
test:
	$(GO) test -race -timeout $(TIMEOUT) ./...
	$(GO) test -timeout $(TIMEOUT) -run '^(TestEpollOfManyConnections|TestScriptsAtEdges|TestFarStream)$$' ./fdtable ./stack
	$(GO) -C benchmarks test -race -timeout $(TIMEOUT) ./...
	$(GO) -C $(APPS) test -race -timeout $(TIMEOUT) ./...

# The same in random order, with the pool counting buffers and poisoning those given back.
race:
	$(GO) test -race -tags unetdebug -shuffle on -count 1 -timeout $(TIMEOUT) ./...
	$(GO) -C benchmarks test -race -tags unetdebug -shuffle on -count 1 -timeout $(TIMEOUT) ./...

# A switch over constants has all of them or a default case. ECT is a codepoint of RFC 3168 and no misspelling of etc.
lint:
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; if [ -n "$$unformatted" ]; then echo "not gofmt's form:" $$unformatted; exit 1; fi
	$(GO) $(TOOL) misspell -error -i ect .
	$(GO) vet -tags unetdebug ./...
	@set -e; for module in $(MODULES); do \
		in_module() { echo "$$module: go $$*"; $(GO) -C $$module "$$@"; }; \
		in_module vet ./...; \
		in_module $(TOOL) staticcheck ./...; \
		in_module $(TOOL) unparam ./...; \
		in_module $(TOOL) exhaustive -d ./...; \
	done

# Every fuzzer in turn, for FUZZTIME each.
fuzz-short:
	@set -e; packages=$$($(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); \
	for package in $$packages; do \
		list=$$($(GO) test -list '^Fuzz' $$package) || { echo "$$list"; exit 1; }; \
		for fuzzer in $$(echo "$$list" | grep '^Fuzz' || true); do \
			echo "$$package $$fuzzer"; \
			$(GO) test -run '^$$' -fuzz "^$$fuzzer$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; \
	done

# Random worlds of two TCBs, a user at each and a stranger between: STEPS segments and calls, from seed SEED on.
# Then a tenth as many random calls on descriptors, against a model, and WORLDS worlds of two hosts with a stranger between.
STEPS  ?= 10000000
WORLDS ?= 2000
SEED   ?= 1
fuzz-state:
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestStates$$' -v ./stack/tcp -state.steps $(STEPS) -state.seed $(SEED)
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestCalls$$' -v ./fdtable -calls.steps $$(($(STEPS) / 10)) -calls.seed $(SEED)
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestWorlds$$' ./stack/sim/stranger -worlds.count $(WORLDS) -worlds.seed $(SEED)

# Processor time of single packets for each kind of attack: the most expensive takes at most 20 medians. A minute.
cost:
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestPacketCost$$' -v ./stack -cost.packets 20000

# A million idle connections in one process, and what they may take: three minutes and 1.5 GB.
million:
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestMillion$$' -v ./examples/million -million

# Programs that know nothing of unet against its hosts, over both families: ping, traceroute, curl, socat, nginx, HAProxy,
# wrk, h2load, tshark. Half a minute; as root it installs those that are missing, on Debian.
foreign:
	UNET_REQUIRE_TAP=1 $(GO) test -count=1 -timeout $(TIMEOUT) -v ./examples/foreign -foreign

# An hour, or SOAK=72h, of every kind of connection with a peer on the kernel, which dies now and then, over a path that
# loses one packet of a hundred and changes its MTU.
SOAK ?= 1h
soak:
	$(GO) -C benchmarks test -count=1 -timeout 0 -run '^TestSoak$$' -v ./soak -soak $(SOAK)

bench:
	$(GO) -C benchmarks run . $(ARGS)

# The lab's table and plot, docs/lab.md and docs/lab.svg: goodput against loss, round-trip time, reordering and bandwidth.
lab:
	$(GO) -C benchmarks run ./lab $(ARGS)

# The same between two kernels, a quarter of an hour in real time; ARGS="-only 'loss 1% .*cubic'" for a part.
lab-linux:
	$(GO) -C benchmarks run ./lab -linux $(ARGS)

# The packet scripts against the kernel's TCP, some minutes in real time; ARGS="-run 'OnLinux/F-DIFF-1 (rack|sack)'" for a part.
# What it does otherwise is listed in fdtable/testdata/script/linux.txt.
scripts-linux:
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestScriptsOnLinux$$' ./fdtable -scripts.linux -parallel 20 $(ARGS)

# What has no TAP compiles all the same.
build-all:
	@set -e; for module in $(MODULES); do \
		for system in linux/amd64 linux/arm64 darwin/arm64 windows/amd64 freebsd/amd64; do \
			echo "$$module: $$system"; \
			GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) -C $$module build ./...; \
		done; \
	done
