# make run          build and start, with something to see, and MediaMTX beside it (the release is fetched if there is none)
# make test         everything that must hold, against real peers; REQUIRE_MEDIAMTX=1 fails when there is no MediaMTX
# make check        fast: formatting, lints, types
# make fmt          format
# make bench        costs, beside references measured in the same run (ONLY=fanout for one scenario)
# make deny         advisories, licences, duplicate versions and sources of dependencies (deny.toml)
# make docs         the documentation of the code; a warning is an error
# make msrv         compile with the oldest Rust that Cargo.toml promises
# make pages-check  types and formatting of the pages' JavaScript
# make fuzz         each fuzz target for SECONDS=60 (ONLY=multipart for one target)
# make soak         a loaded server for MINUTES=10: its memory must not grow, and its watchers must see pictures
# make static       the program without libraries, for any Linux and for images (TARGET=aarch64-unknown-linux-gnu or
#                   TARGET=armv7-unknown-linux-gnueabihf for another processor; deb, dist and cross-test take it, too)
# make deb          a Debian package of the program, in target/dist
# make dist         what a release has for this processor: the static program, the package, the bill of materials
# make checksums    the checksums of the files in target/dist
# make image-context  the build context of the images, of the static programs in target/dist
# make package-test installs, upgrades and purges the package in a fresh Debian (root, debootstrap)
# make image-test   builds the image of the static program and runs it (Docker, or root and debootstrap)
# make cross-test   runs the static program of another processor under qemu
# make reproducible-test  builds the static program of the last commit twice and compares the bytes (QUICK=1: unoptimized; OTHER=1: in two folders)
# make release-notes  the section of CHANGELOG.md for the version of Cargo.toml, in target/dist/notes.md
# make release-check  everything about a release that needs no network
# make mediamtx     download the release of MediaMTX that the tests are written for to target/mediamtx
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.PHONY: run test check fmt bench deny docs msrv pages-check fuzz soak mediamtx static deb dist checksums image-context package-test image-test cross-test reproducible-test release-notes release-check build-deps test-deps

SIDECAR := target/release/mtx-sidecar
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
FUZZ_TARGETS := $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))

MEDIAMTX_VERSION := v1.20.1

# Debian 12's package is too old for clusters (docs/cluster.md); where Go is, this version is built for the tests.
NATS_VERSION := v2.12.3
NATS_SERVER := $(abspath $(or $(CARGO_TARGET_DIR),target))/tools/nats-server

# Cargo's folder, which CARGO_TARGET_DIR can move.
BUILT := $(or $(CARGO_TARGET_DIR),target)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
HOST := $(shell uname -m)-unknown-linux-gnu
TARGET ?= $(HOST)
# The same processor in the words of Debian and Docker.
ARCHITECTURE := $(if $(filter aarch64%,$(TARGET)),arm64,$(if $(filter armv7%,$(TARGET)),armhf,amd64))
# The same processor in the names of the static programs, which are those of MediaMTX's releases.
MACHINE := $(if $(filter armhf,$(ARCHITECTURE)),armv7,$(ARCHITECTURE))
# The prefix of Debian's compilers and tools for another processor, and what installs them.
CROSS := $(if $(filter $(HOST),$(TARGET)),,$(if $(filter armv7%,$(TARGET)),arm-linux-gnueabihf-,$(if $(filter aarch64%,$(TARGET)),aarch64-linux-gnu-)))
CROSS_TOOLS := $(if $(CROSS),$(CROSS)g++=g++-$(CROSS:-=)) $(if $(filter armv7%,$(TARGET)),ld.lld=lld)
STATIC := $(BUILT)/$(TARGET)/release/mtx-sidecar
DIST := target/dist

# A test that needs a program that is not there appends its name and the reason, one line each.
export SKIPPED_TESTS_FILE := $(CURDIR)/target/skipped-tests.txt
# The same for whole checks of `make test`.
SKIPPED_CHECKS_FILE := $(CURDIR)/target/skipped-checks.txt

# Debian packages, installed only if a program of theirs is missing. libjpeg-turbo is built from its bundled
# source: cmake, and nasm for its SIMD code.
define install
	missing=
	for pair in $(1); do command -v "$${pair%%=*}" > /dev/null || missing="$$missing $${pair##*=}"; done
	if [ -n "$$missing" ]; then
		echo "installing:$$missing"
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo
		$$sudo apt-get update -q
		# RUNLEVEL: the packages of nginx, caddy and mosquitto start no service.
		$$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $$missing
	fi
endef

build-deps:
	@$(call install,cc=gcc g++=g++ cmake=cmake nasm=nasm)

test-deps: build-deps
	@$(call install,ffmpeg=ffmpeg chromium=chromium chromedriver=chromium-driver curl=curl wget=wget openssl=openssl taskset=util-linux gst-launch-1.0=gstreamer1.0-tools caddy=caddy mosquitto_pub=mosquitto-clients)
	missing=
	/usr/bin/python3 -c 'import matplotlib' 2> /dev/null || missing="python3 python3-matplotlib"
	gst-inspect-1.0 rtph264depay > /dev/null 2>&1 || missing="$$missing gstreamer1.0-plugins-good"
	gst-inspect-1.0 videoconvert > /dev/null 2>&1 || missing="$$missing gstreamer1.0-plugins-base"
	gst-inspect-1.0 avdec_h264 > /dev/null 2>&1 || missing="$$missing gstreamer1.0-libav"
	# Debian has Firefox as firefox-esr; WebKitGTK needs a display.
	command -v firefox > /dev/null || command -v firefox-esr > /dev/null || missing="$$missing firefox-esr"
	command -v WebKitWebDriver > /dev/null || missing="$$missing webkit2gtk-driver"
	command -v Xvfb > /dev/null || missing="$$missing xvfb"
	command -v nginx > /dev/null || [ -x /usr/sbin/nginx ] || missing="$$missing nginx-light"
	[ -e /usr/share/fonts/truetype/wqy/wqy-microhei.ttc ] || missing="$$missing fonts-wqy-microhei"
	command -v mosquitto > /dev/null || [ -x /usr/sbin/mosquitto ] || missing="$$missing mosquitto"
	if [ -n "$$missing" ]; then
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo
		$$sudo apt-get update -q
		# RUNLEVEL: the packages of nginx, caddy and mosquitto start no service.
		$$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $$missing
	fi

	if ! command -v "$${NATS_SERVER_BIN:-nats-server}" > /dev/null && [ ! -x "$(NATS_SERVER)" ] && command -v go > /dev/null; then
		echo "building: nats-server $(NATS_VERSION)"
		GOBIN="$(dir $(NATS_SERVER))" GOFLAGS=-mod=mod timeout 240 go install "github.com/nats-io/nats-server/v2@$(NATS_VERSION)" || true
	fi

run: build-deps
	@cargo build --release
	exec scripts/run-demo $(SIDECAR) $(MEDIAMTX_VERSION) target/mediamtx

test: test-deps
	@mkdir -p target
	: > "$(SKIPPED_TESTS_FILE)"
	: > "$(SKIPPED_CHECKS_FILE)"
	if ! command -v "$${MEDIAMTX_BIN:-mediamtx}" > /dev/null; then
		if [ "$${REQUIRE_MEDIAMTX:-}" = 1 ]; then
			echo "REQUIRE_MEDIAMTX=1, and there is no mediamtx on PATH or in MEDIAMTX_BIN (make mediamtx downloads it)"
			exit 1
		fi
		echo "tests against MediaMTX: no mediamtx on PATH or in MEDIAMTX_BIN (make mediamtx downloads it)" >> "$(SKIPPED_CHECKS_FILE)"
	fi
	if ! command -v "$${NATS_SERVER_BIN:-nats-server}" > /dev/null && [ -x "$(NATS_SERVER)" ]; then
		export NATS_SERVER_BIN="$(NATS_SERVER)"
	fi
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	$(MAKE) --no-print-directory docs pages-check
	if command -v cargo-deny > /dev/null; then
		$(MAKE) --no-print-directory deny
	else
		echo "dependencies: no cargo-deny (make deny installs it, in minutes)" >> "$(SKIPPED_CHECKS_FILE)"
	fi
	# Tests wait for peers a third of their time: one more than there are processors at once.
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(($$(nproc) + 1))} cargo test --quiet
	tests=$$(sort -u "$(SKIPPED_TESTS_FILE)" | wc -l)
	checks=$$(wc -l < "$(SKIPPED_CHECKS_FILE)")
	if [ $$((tests + checks)) -gt 0 ]; then
		printf '\n============ SKIPPED: %s tests, %s checks ============\n' "$$tests" "$$checks"
		sort -u "$(SKIPPED_TESTS_FILE)" | sed 's/^/  test   /'
		sed 's/^/  check  /' "$(SKIPPED_CHECKS_FILE)"
	fi
	if [ "$${REQUIRE_MEDIAMTX:-}" = 1 ] && grep -q mediamtx "$(SKIPPED_TESTS_FILE)"; then
		echo "REQUIRE_MEDIAMTX=1, and tests were skipped because there is no mediamtx"
		exit 1
	fi

check: build-deps
	@cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings

fmt:
	@cargo fmt

bench: test-deps
	@cargo bench --bench load -- $(ONLY)

# The database of advisories is in a repository of its own. Without a network the last copy counts, and without a copy the other checks.
deny:
	@command -v cargo-deny > /dev/null || cargo install cargo-deny --locked
	if timeout 60 cargo deny --log-level off fetch db > /dev/null 2>&1; then
		echo "deny: advisories of today, bans, licences, sources"
		cargo deny --locked --log-level error check -D unmatched-skip
	elif compgen -G "$${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs/advisory-db-*/.git" > /dev/null; then
		echo "deny: advisories of the last copy, bans, licences, sources (the database cannot be reached)"
		cargo deny --locked --offline --log-level error check -D unmatched-skip
	else
		echo "deny: bans, licences, sources; NOT advisories (the database cannot be reached, and there is no copy)"
		cargo deny --locked --offline --log-level error check -D unmatched-skip bans licenses sources
	fi

docs: build-deps
	@RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

msrv: build-deps
	@cargo +$(MSRV) --version > /dev/null 2>&1 || rustup toolchain install $(MSRV) --profile minimal
	cargo +$(MSRV) check --locked

pages-check:
	@if command -v node > /dev/null && command -v npm > /dev/null; then
		npm ci --prefix tests/pages --silent
		npm run --prefix tests/pages check
	else
		mkdir -p target
		echo "pages: no node and npm" | tee -a "$(SKIPPED_CHECKS_FILE)"
	fi

# The fuzz targets are a package of their own, with the versions that the program is built with.
fuzz: build-deps
	@cargo +nightly --version > /dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	command -v cargo-fuzz > /dev/null || cargo install cargo-fuzz --locked
	cp Cargo.lock fuzz/Cargo.lock
	cargo +nightly fuzz build
	for target in $(or $(ONLY),$(FUZZ_TARGETS)); do
		echo "fuzz: $$target for $(or $(SECONDS),60) s"
		mkdir -p "fuzz/corpus/$$target"
		seeds="fuzz/seeds/$$target"
		case "$$target" in discovery_*) seeds="$$seeds $$(echo tests/api/discovery/*/)" ;; esac
		cargo +nightly fuzz run "$$target" "fuzz/corpus/$$target" $$seeds -- \
			-max_total_time=$(or $(SECONDS),60) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
	done

soak: test-deps
	@cargo bench --bench load -- soak $(or $(SECONDS),$(if $(MINUTES),$(shell expr $(or $(MINUTES),10) \* 60),600))

mediamtx:
	@program=$$(scripts/fetch-mediamtx $(MEDIAMTX_VERSION) target/mediamtx)
	echo "$$PWD/$$program ($(MEDIAMTX_VERSION)): put it on PATH, or into MEDIAMTX_BIN"

# glibc in the program itself (docs/decisions/0013-static-glibc.md). --target keeps build scripts and procedural macros from being linked
# in the same way. No path of this machine is in the program (make reproducible-test).
PLACES := $(CURDIR)=/mtx-sidecar $(abspath $(BUILT))=/mtx-sidecar/target $(abspath $(or $(CARGO_HOME),$(HOME)/.cargo))=/cargo
MAPPED := $(foreach place,$(PLACES),-ffile-prefix-map=$(place))
# A static program of Rust for arm64 is no PIE. So its code can have fixed addresses. With those of a table (GOT), an unoptimized build
# has 5000 entries, and glibc's objects reach the first 4096 only (-fpic): "relocation truncated to fit: R_AARCH64_LD64_GOTPAGE_LO15".
FIXED := $(if $(filter aarch64%,$(TARGET)),-C relocation-model=static)
# GNU's linker (2.40) calls functions that glibc chooses at the start (memcpy, memchr) in the wrong instruction set on 32-bit ARM if the
# program has more than 16 MB of code: it ends by SIGSEGV before main(). LLVM's linker does not. Debian's cross compiler looks for it in
# the folder that -B names.
static: build-deps
	@$(call install,$(CROSS_TOOLS))
	linker=
	case $(TARGET) in armv7*) linker="-C link-arg=-fuse-ld=lld -C link-arg=-B$$(dirname "$$(realpath "$$(command -v ld.lld)")")" ;; esac
	export RUSTFLAGS="-C target-feature=+crt-static $(FIXED) $$linker $(foreach place,$(PLACES),--remap-path-prefix=$(place))"
	export CFLAGS="$${CFLAGS:-} $(MAPPED)" CXXFLAGS="$${CXXFLAGS:-} $(MAPPED)"
	if [ -n "$(CROSS)" ]; then
		target=$$(tr - _ <<< $(TARGET))
		# Another compiler than rustup's has its own way to the library of the target (docs/releasing.md).
		[ -n "$${RUSTC:-}" ] || ! command -v rustup > /dev/null || rustup target add $(TARGET)
		export CC_$$target=$(CROSS)gcc CXX_$$target=$(CROSS)g++ CARGO_TARGET_$${target^^}_LINKER=$(CROSS)gcc
	fi
	cargo build --release --locked --target $(TARGET)

# For another processor, the package has the static program. The usual build writes its manual pages and completions.
deb: build-deps $(if $(CROSS),static)
	@cargo build --release --locked
	GENERATOR=$(BUILT)/release/mtx-sidecar scripts/build-deb $(if $(CROSS),$(STATIC),$(BUILT)/release/mtx-sidecar) $(ARCHITECTURE) $(DIST)

dist: static deb
	@mkdir -p $(DIST)
	install -m 0755 $(STATIC) $(DIST)/mtx-sidecar_$(VERSION)_linux_$(MACHINE)
	$(CROSS)strip --strip-unneeded $(DIST)/mtx-sidecar_$(VERSION)_linux_$(MACHINE)
	scripts/sbom $(TARGET) > $(DIST)/mtx-sidecar_$(VERSION)_linux_$(MACHINE).cdx.json

checksums:
	@cd $(DIST)
	find . -maxdepth 1 -type f -name 'mtx-sidecar_*' -printf '%P\n' | sort | xargs sha256sum | tee checksums.sha256

image-context:
	@found=()
	for machine in amd64 arm64 armv7; do
		program=$(DIST)/mtx-sidecar_$(VERSION)_linux_$$machine
		# Docker's name of the processor is without its version.
		[ ! -e $$program ] || found+=($${machine%v7} $$program)
	done
	scripts/image-context target/image-context "$${found[@]}"

# 77: the machine cannot run the test.
package-test: build-deps
	@$(call install,debootstrap=debootstrap ip=iproute2 dpkg-shlibdeps=dpkg-dev)
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || { sudo apt-get update -q && sudo apt-get install -y -q debian-archive-keyring; }
	cargo build --release --locked
	architecture=$$(dpkg --print-architecture)
	first=$$(scripts/build-deb $(BUILT)/release/mtx-sidecar $$architecture target/package-test)
	second=$$(VERSION=$(VERSION)+1 SETTINGS_NOTE="a later version" scripts/build-deb $(BUILT)/release/mtx-sidecar $$architecture target/package-test)
	scripts/package-test $$first $$second target/package-test || { code=$$?; [ $$code = 77 ] && [ "$${REQUIRE_PACKAGE_TEST:-}" != 1 ] && echo "SKIPPED: package-test"; }

image-test: static
	@scripts/image-test $(STATIC) target/image-test || { code=$$?; [ $$code = 77 ] && [ "$${REQUIRE_IMAGE_TEST:-}" != 1 ] && echo "SKIPPED: image-test"; }

cross-test: static
	@$(call install,qemu-arm-static=qemu-user-static ffmpeg=ffmpeg curl=curl python3=python3)
	qemu=$(if $(filter aarch64%,$(TARGET)),qemu-aarch64-static,qemu-arm-static)
	scripts/cross-test $(STATIC) $$qemu || { code=$$?; [ $$code = 77 ] && [ "$${REQUIRE_CROSS_TEST:-}" != 1 ] && echo "SKIPPED: cross-test"; }

# Two builds of the release from nothing: some minutes.
reproducible-test: build-deps
	@scripts/reproducible-test $(BUILT)/reproducible $(TARGET)

release-notes:
	@mkdir -p $(DIST)
	scripts/release-notes $(VERSION) > $(DIST)/notes.md
	cat $(DIST)/notes.md

# The tag of a release workflow is in GITHUB_REF_NAME.
release-check:
	@fail() { echo "release-check: $$1"; exit 1; }
	[ -z "$${GITHUB_REF_NAME:-}" ] || [ "$$GITHUB_REF_NAME" = v$(VERSION) ] || fail "the tag is $$GITHUB_REF_NAME, and Cargo.toml has the version $(VERSION)"
	cargo metadata --format-version 1 --locked --offline > /dev/null || fail "Cargo.lock is not that of Cargo.toml"
	grep -q "^version: $(VERSION)$$" deploy/home-assistant/mtx_sidecar/config.yaml || fail "the version of deploy/home-assistant is another one"
	if ! scripts/release-notes $(VERSION) > /dev/null; then
		[ -z "$${GITHUB_REF_NAME:-}" ] || exit 1
		echo "release-check: that is right before a release only"
	fi
	if command -v cargo-deny > /dev/null; then
		cargo deny --offline --locked --log-level error check bans licenses sources || fail "cargo deny"
	else
		echo "release-check: SKIPPED: dependencies (there is no cargo-deny; make deny installs it)"
	fi
	scripts/sbom $(HOST) | python3 -c 'import json, sys; bill = json.load(sys.stdin); assert len(bill["components"]) > 100; print("release-check: %d components" % len(bill["components"]))'
	for script in scripts/*; do case "$$(head -n 1 $$script)" in *bash) bash -n $$script ;; esac; done
	systemd-analyze security --offline=true --threshold=15 deploy/debian/mtx-sidecar.service > /dev/null || fail "the unit is not as closed as it must be"
	echo "release-check: passed"
