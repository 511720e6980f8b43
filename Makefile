# make run          build and start, with something to see (and MediaMTX beside it, where there is one)
# make test         everything that must hold, against real peers; REQUIRE_MEDIAMTX=1 fails when there is no MediaMTX
# make check        fast: formatting, lints, types
# make fmt          format
# make bench        costs, beside references measured in the same run (ONLY=fanout for one scenario)
# make deny         advisories, licences, duplicate versions and sources of dependencies (deny.toml)
# make docs         the documentation of the code; a warning is an error
# make msrv         compile with the oldest Rust that Cargo.toml promises
# make pages-check  types and formatting of the pages' JavaScript
# make fuzz         each fuzz target for SECONDS=60 (ONLY=multipart for one target)
# make soak         a loaded server for SECONDS=600: its memory must not grow, and its watchers must see pictures
# make mediamtx     download the release of MediaMTX that the tests are written for to target/mediamtx
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.PHONY: run test check fmt bench deny docs msrv pages-check fuzz soak mediamtx build-deps test-deps

SIDECAR := target/release/mtx-sidecar
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
FUZZ_TARGETS := $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))

MEDIAMTX_VERSION := v1.20.1
MEDIAMTX_RELEASE := https://github.com/bluenviron/mediamtx/releases/download/$(MEDIAMTX_VERSION)

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

run: build-deps
	@cargo build --release
	mediamtx=$${MEDIAMTX_BIN:-$$(command -v mediamtx || true)}
	if [ -n "$$mediamtx" ]; then
		"$$mediamtx" mediamtx.yml &
		trap "kill $$! 2> /dev/null || true" EXIT
		echo "MediaMTX is started, too: rtsp://localhost:8554/pictures/demo/test-card, http://localhost:8889/pictures/demo/test-card"
	elif docker info > /dev/null 2>&1; then
		docker run --rm --name mtx-sidecar-mediamtx --network host -v "$$PWD/mediamtx.yml:/mediamtx.yml:ro" bluenviron/mediamtx:1 &
		trap "docker stop mtx-sidecar-mediamtx > /dev/null 2>&1 || true" EXIT
		echo "MediaMTX is started in Docker: rtsp://localhost:8554/pictures/demo/test-card, http://localhost:8889/pictures/demo/test-card"
	else
		echo "There is no MediaMTX here. Put a release (https://github.com/bluenviron/mediamtx/releases) on PATH, or install Docker,"
		echo "and it is started along. The sidecar itself works without."
	fi
	$(SIDECAR) serve --demo

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
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	$(MAKE) --no-print-directory docs pages-check
	if command -v cargo-deny > /dev/null; then
		$(MAKE) --no-print-directory deny
	else
		echo "dependencies: no cargo-deny (make deny installs it, in minutes)" >> "$(SKIPPED_CHECKS_FILE)"
	fi
	cargo test --quiet
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
	@cargo bench --bench load -- soak $(or $(SECONDS),600)

mediamtx:
	@mkdir -p target/mediamtx
	cd target/mediamtx
	if [ ! -x mediamtx ] || [ "$$(./mediamtx --version)" != "$(MEDIAMTX_VERSION)" ]; then
		case "$$(uname -m)" in
			x86_64) file=mediamtx_$(MEDIAMTX_VERSION)_linux_amd64.tar.gz ;;
			aarch64) file=mediamtx_$(MEDIAMTX_VERSION)_linux_arm64.tar.gz ;;
			*) echo "there is no release of MediaMTX for $$(uname -m) that this target knows"; exit 1 ;;
		esac
		curl -fsSL --fail-early -O "$(MEDIAMTX_RELEASE)/$$file" -O "$(MEDIAMTX_RELEASE)/checksums.sha256"
		sha256sum --check --ignore-missing --strict checksums.sha256
		tar -xzf "$$file" mediamtx
		rm "$$file"
	fi
	echo "$$PWD/mediamtx ($$(./mediamtx --version)): put it on PATH, or into MEDIAMTX_BIN"
