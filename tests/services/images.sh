#!/usr/bin/env bash
# The two images the tests run, loaded into the engine without a public registry:
# `launch-test/busybox:1`, and `python:3.11-slim` unless the engine has one.
# They stay in the engine: loading them again would cost every run a minute.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly BUSYBOX=launch-test/busybox:1
readonly PYTHON=python:3.11-slim
readonly PATH_LINE='ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
readonly CERTIFICATES=/etc/ssl/certs/ca-certificates.crt

start() {
    docker version >/dev/null 2>&1 || skip "no Docker Engine to load the images into"
    if ! loaded "$BUSYBOX"; then load_busybox; fi
    if ! loaded "$PYTHON"; then load_python; fi
    provide LAUNCH_TEST_DOCKER 1
}

stop() { :; }

loaded() { docker image inspect "$1" >/dev/null 2>&1; }

# pull IMAGE NAME: where there is no Debian to make the image from.
pull() {
    timeout 300 docker pull -q "$1" >>"$DIR/pull.log" 2>&1 ||
        skip "image \`$2\` can be made on Debian only, and \`docker pull $1\` failed"
    [ "$1" = "$2" ] || docker tag "$1" "$2"
}

load_busybox() {
    on_debian || { pull busybox:1 "$BUSYBOX"; return; }
    local tar
    tar=$CACHE/busybox-$(recipe_digest).tar
    if [ ! -e "$tar" ]; then make_busybox "$tar"; fi
    docker import -c "$PATH_LINE" -c 'CMD ["sh"]' "$tar" "$BUSYBOX" >/dev/null
}

make_busybox() {
    local root=$DIR/busybox
    rm -f "$CACHE"/busybox-*
    mkdir -p "$root"/{bin,etc,tmp,root,proc,sys,dev}
    chmod 1777 "$root/tmp"
    unpack_busybox "$root/bin"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$1.part" .
    mv "$1.part" "$1"
}

# The package is unpacked, not installed: it would displace the machine's busybox.
unpack_busybox() {
    local package=$DIR/package applet
    mkdir -p "$package"
    (cd "$package" && { apt download busybox-static || { apt update && apt download busybox-static; }; }) ||
        skip "package \`busybox-static\` cannot be fetched: $(tail -n 1 "$DIR/apt.log")"
    dpkg-deb -x "$package"/busybox-static_*.deb "$package/tree"
    find "$package/tree" -path '*bin/busybox' -exec cp {} "$1/busybox" \;
    for applet in $("$1/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$1/$applet"
    done
}

# Debian 12's python3 is 3.11; the tar is kept, since making it takes a minute.
load_python() {
    on_debian || { pull "$PYTHON" "$PYTHON"; return; }
    local tar
    tar=$CACHE/python-3.11-slim-$(recipe_digest).tar
    if [ ! -e "$tar" ]; then make_python "$tar"; fi
    docker import -c "$PATH_LINE" -c 'CMD ["python3"]' "$tar" "$PYTHON" >/dev/null
}

# Another recipe, or another list of certificates, makes another image.
recipe_digest() { cat "${BASH_SOURCE[0]}" "$CERTIFICATES" 2>/dev/null | sha256sum | cut -c1-12; }

# The image trusts the certificates this machine trusts: behind a proxy that
# re-signs TLS, `pip install` in a build would fail with Debian's own list.
make_python() {
    need mmdebstrap mmdebstrap
    rm -f "$CACHE"/python-3.11-slim-*
    mmdebstrap --quiet --format=tar --variant=minbase \
        --include=python3,python3-pip,python3-venv,ca-certificates \
        --customize-hook='ln -sf python3 "$1/usr/bin/python"' \
        --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
        --customize-hook="if [ -e $CERTIFICATES ]; then cp $CERTIFICATES \"\$1$CERTIFICATES\"; fi" \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/man/*' \
        bookworm "$1.part" >"$DIR/mmdebstrap.log" 2>&1 ||
        skip "\`mmdebstrap\` could not make $PYTHON: $(tail -n 1 "$DIR/mmdebstrap.log")"
    mv "$1.part" "$1"
}

run_part
