# make without a target prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The analyser is a program of its own: Trivy's analysers need jsonv2 and no cgo.
ANALYZER_ENV := GOEXPERIMENT=jsonv2 CGO_ENABLED=0
GO_FILES = $(shell git ls-files '*.go')

.PHONY: help build charts charts-install manifests demo run test check e2e runtimes faults bench lint race clean bin/digestgate bin/digestgate-analyzer bin/digestgate-figures figures image image-programs image-test

help: ## show this help
	@grep -hE '^[a-zA-Z0-9_/-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

build: bin/digestgate bin/digestgate-analyzer ## build both programs into bin/ (the first build of the analyser takes minutes)

bin/digestgate:
	go build -ldflags '$(LDFLAGS)' -o $@ ./cmd/digestgate

bin/digestgate-analyzer:
	@test -e $@ || echo "building $@: the first build compiles Trivy's analysers and their modules, some minutes on two cores (later ones take seconds)"
	$(ANALYZER_ENV) go build -ldflags '$(LDFLAGS)' -o $@ ./cmd/digestgate-analyzer

demo: build ## play the whole way of an image, offline, and check every verdict
	bin/digestgate demo

run: build ## start a server for exploring, with the demo's images in it
	bin/digestgate demo --stay

test: build ## run all tests (needs nothing but Go; those of store/redis run with redis-server only)
	DIGESTGATE_ANALYZER=$(CURDIR)/bin/digestgate-analyzer go test -timeout 20m ./...
	$(ANALYZER_ENV) go test ./scanner/analyzer/child/...

race: build ## run the tests of everything but the analyser under the race detector
	DIGESTGATE_ANALYZER=$(CURDIR)/bin/digestgate-analyzer go test -race $(shell go list ./... | grep -v digestgate-analyzer)

check: ## what CI runs before the tests: format, vet, lint, generated files
	@test -z "$$(gofmt -l $(GO_FILES))" || { gofmt -l $(GO_FILES); echo "run gofmt -w on these files"; exit 1; }
	go vet ./...
	$(ANALYZER_ENV) go vet ./cmd/digestgate-analyzer/... ./scanner/analyzer/...
	cd tools/attack && go vet ./...
	cd tools/image && CGO_ENABLED=0 go vet ./...
	$(MAKE) charts
	@if test -e bin/digestgate-analyzer && go version -m bin/digestgate-analyzer | grep -E 'prometheus/client_golang|maypok86/otter'; then echo "the analyser links what no child needs (named above); see TestWordsStaySmall"; exit 1; fi
	@if go list -m -f '{{.GoVersion}}' all 2>/dev/null | grep -qE '^1\.(2[7-9]|[3-9][0-9])'; then echo "a dependency needs Go 1.27 or later; Trivy 0.74 does not compile there"; exit 1; fi

charts: ## render the Helm chart with every file of its ci folder and read the objects (Helm 3 and 4, no cluster)
	cd tools/charttest && go vet ./... && go test .

charts-install: build ## install the chart into a real API server with the program behind it, and play what could lock a cluster out
	$(MAKE) -C examples/cluster bin
	cd tools/charttest && DIGESTGATE_BIN=$(CURDIR)/bin/digestgate go test -count=1 -timeout 20m ./install

manifests: ## render plain manifests into charts/manifests/digestgate.yaml
	mkdir -p charts/manifests
	cd tools/charttest && go test . -run TestManifests -update

lint: ## run the linters (pinned in tools/go.mod)
	go tool -modfile=tools/go.mod golangci-lint run ./...

e2e: build ## play against a real kube-apiserver and a real registry, built from their modules (7 minutes the first time)
	$(MAKE) -C examples/cluster bin
	cd examples/cluster && DIGESTGATE_BIN=$(CURDIR)/bin/digestgate DIGESTGATE_ANALYZER_BIN=$(CURDIR)/bin/digestgate-analyzer go test -count=1 -timeout 20m ./...
	cd tools/charttest && DIGESTGATE_BIN=$(CURDIR)/bin/digestgate go test -count=1 -timeout 20m ./install
	cd examples/distribution/sender && DIGESTGATE_BIN=$(CURDIR)/bin/digestgate DIGESTGATE_ANALYZER_BIN=$(CURDIR)/bin/digestgate-analyzer go test -count=1 -timeout 5m ./...

RUNTIMES_DURATION ?= 45s
RUNTIMES_IMAGES ?= 15
runtimes: bin/digestgate-analyzer ## unpack random layers with the runtimes' own code for RUNTIMES_DURATION and compare (mounts overlays: needs root, takes sudo)
	cd scanner/analyzer/rootfs/runtimes && CGO_ENABLED=0 go vet ./... && CGO_ENABLED=0 go test -c -o $(CURDIR)/bin/runtimes.test .
	cd scanner/analyzer/rootfs/runtimes && $(if $(filter-out 0,$(shell id -u)),sudo) env DIGESTGATE_ANALYZER=$(CURDIR)/bin/digestgate-analyzer \
		$(CURDIR)/bin/runtimes.test -test.v -test.timeout 20m -for $(RUNTIMES_DURATION) -images $(RUNTIMES_IMAGES) $(RUNTIMES_FLAGS)

FAULTS_DURATION ?= 60s
OUTAGE_DURATION ?= 30s
faults: build ## break Redis under several processes for FAULTS_DURATION on each kind of server, then count (docs/redis.md, "Faults")
	OUTAGE_DURATION=$(OUTAGE_DURATION) DIGESTGATE_ANALYZER=$(CURDIR)/bin/digestgate-analyzer go test -count=1 -v -timeout 1h -run TestAdmissionThroughAnOutage ./cmd/digestgate
	DIGESTGATE_FAULTS_DURATION=$(FAULTS_DURATION) go test -count=1 -v -timeout 1h -run TestFaults ./store/redis/faults

bench: build bin/digestgate-figures ## run every benchmark once; see docs/performance.md for real figures
	DIGESTGATE_ANALYZER=$(CURDIR)/bin/digestgate-analyzer go test -run '^$$' -bench . -benchtime 1x ./...
	bin/digestgate-figures -images 200 -asked 30 -small 40 -resolves 50 -rate 20 -for 3s -only memory,reviews,search,difference,policy,resolves

bin/digestgate-figures:
	go build -o $@ ./cmd/digestgate-figures

FIGURES_IMAGES ?= 100000
FIGURES_FLAGS ?=
figures: build bin/digestgate-figures ## measure FIGURES_IMAGES images on both stores and print the table of docs/performance.md (5 GB of disk and memory; FIGURES_FLAGS="-only reviews -stores sqlite")
	bin/digestgate-figures -images $(FIGURES_IMAGES) $(FIGURES_FLAGS)

comma := ,
IMAGE_PLATFORMS ?= linux/amd64,linux/arm64
IMAGE_GOFLAGS ?=
image: image-programs ## make the container image without Docker: bin/image/layout and archives (the first build for another processor takes minutes; IMAGE_PLATFORMS=linux/amd64)
	CGO_ENABLED=0 go build -C tools/image -o $(CURDIR)/bin/image/image .
	bin/image/image build -programs bin/image/programs -cache bin/image/packages -platforms $(IMAGE_PLATFORMS) -out bin/image \
		-version $(VERSION) -revision "$$(git rev-parse HEAD)" -created "$$(git log -1 --format=%ct)"

# No cgo: the image has no dynamic linker.
image-programs:
	@set -e; for arch in $(patsubst linux/%,%,$(subst $(comma), ,$(IMAGE_PLATFORMS))); do \
		echo "building both programs for linux/$$arch"; \
		GOOS=linux GOARCH=$$arch CGO_ENABLED=0 go build $(IMAGE_GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/image/programs/linux-$$arch/digestgate ./cmd/digestgate; \
		GOOS=linux GOARCH=$$arch $(ANALYZER_ENV) go build $(IMAGE_GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/image/programs/linux-$$arch/digestgate-analyzer ./cmd/digestgate-analyzer; \
	done

image-test: image ## compare the image with the Dockerfile, push it to a registry, start it from its read-only root, let it scan itself (needs root, takes sudo)
	cd tools/image && CGO_ENABLED=0 go test -c -o $(CURDIR)/bin/image/image.test .
	cd tools/image && $(if $(filter-out 0,$(shell id -u)),sudo) env CI=$(CI) DIGESTGATE_IMAGE_PROGRAMS=$(CURDIR)/bin/image/programs DIGESTGATE_IMAGE_CACHE=$(CURDIR)/bin/image/packages \
		$(CURDIR)/bin/image/image.test -test.v -test.timeout 20m

clean: ## remove what was built
	rm -rf bin examples/cluster/bin
