#!/usr/bin/env bash
# The pattern oracle: Docker's own ignore-pattern matcher, compiled from Debian's
# source package, which the `.dockerignore` tests compare with.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly PACKAGE=golang-github-moby-patternmatcher-dev
ORACLE=$(dirname "$(dirname "$HERE")")/launch-builder/tests/dockerignore/oracle.go
readonly ORACLE

start() {
    [ -e "$ORACLE" ] || fail "\`$ORACLE\` is missing"
    local program
    program=$CACHE/pattern-oracle-$(sha256sum <"$ORACLE" | cut -c1-12)
    if [ ! -x "$program" ]; then compile "$program"; fi
    provide LAUNCH_TEST_PATTERN_ORACLE "$program"
}

stop() { :; }

compile() {
    need_source
    need go golang-go
    GO111MODULE=off GOPATH=$(dpkg -L "$PACKAGE" | sed -n 's#/src$##p' | head -n 1) \
        GOCACHE=$DIR/go-cache GOFLAGS="" go build -o "$1.part" "$ORACLE" >"$DIR/go.log" 2>&1 ||
        fail "the oracle does not compile: $(tail -n 3 "$DIR/go.log")"
    mv "$1.part" "$1"
}

need_source() {
    on_debian || skip "the matcher's source comes from a Debian package"
    if dpkg -s "$PACKAGE" >/dev/null 2>&1; then return; fi
    [ "$(id -u)" = 0 ] || skip "package \`$PACKAGE\` is not installed: run as root, or install it"
    install_packages "$PACKAGE"
}

run_part
