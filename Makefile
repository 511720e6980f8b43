# make run    build and start, with something to see (and MediaMTX beside it, where there is one)
# make test   everything that has to hold, against real peers; what CI calls
# make bench  what it costs, beside references measured in the same run (ONLY=fanout for one scenario)
# make check  fast: formatting, lints, types
# make fmt    format
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.PHONY: run test bench check fmt build-deps test-deps

SIDECAR := target/release/mtx-sidecar

# Debian packages, installed only if a program of theirs is missing. libjpeg-turbo is built from its bundled
# source: cmake, and nasm for its SIMD code.
define install
	missing=
	for pair in $(1); do command -v "$${pair%%=*}" > /dev/null || missing="$$missing $${pair##*=}"; done
	if [ -n "$$missing" ]; then
		echo "installing:$$missing"
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo
		$$sudo apt-get update -q
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing
	fi
endef

build-deps:
	@$(call install,cc=gcc g++=g++ cmake=cmake nasm=nasm)

test-deps: build-deps
	@$(call install,ffmpeg=ffmpeg chromium=chromium chromedriver=chromium-driver curl=curl wget=wget openssl=openssl taskset=util-linux gst-launch-1.0=gstreamer1.0-tools)
	missing=
	/usr/bin/python3 -c 'import matplotlib' 2> /dev/null || missing="python3 python3-matplotlib"
	gst-inspect-1.0 rtph264depay > /dev/null 2>&1 || missing="$$missing gstreamer1.0-plugins-good"
	gst-inspect-1.0 videoconvert > /dev/null 2>&1 || missing="$$missing gstreamer1.0-plugins-base"
	gst-inspect-1.0 avdec_h264 > /dev/null 2>&1 || missing="$$missing gstreamer1.0-libav"
	if [ -n "$$missing" ]; then
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo
		$$sudo apt-get update -q
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing
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
	@if [ -z "$${MEDIAMTX_BIN:-}" ] && ! command -v mediamtx > /dev/null; then
		echo "SKIPPED: tests against MediaMTX itself, because there is no mediamtx on PATH or in MEDIAMTX_BIN"
	fi
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
	cargo test --quiet

bench: test-deps
	@cargo bench --bench load -- $(ONLY)

check: build-deps
	@cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings

fmt:
	@cargo fmt
