#!/usr/bin/env bash
# An image that stands in for kaniko's executor (`executor.py`), loaded into the engine,
# and the small base image in the open registry, where such a build finds it.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly BASE=launch-test/busybox:1 PYTHON=python:3.11-slim

start() {
    docker version >/dev/null 2>&1 || skip "no Docker Engine to load the image into"
    docker image inspect "$PYTHON" >/dev/null 2>&1 || skip "the image \`$PYTHON\` of the part images is missing"
    [ -n "${LAUNCH_TEST_REGISTRY:-}" ] || skip "there is no registry for the base image"
    local image
    image=launch-test/kaniko:$(sha256sum <"$HERE/executor.py" | cut -c1-12)
    if ! docker image inspect "$image" >/dev/null 2>&1; then make_executor "$image"; fi
    publish_base
    provide LAUNCH_TEST_KANIKO "$image"
    provide LAUNCH_TEST_KANIKO_BASE "$LAUNCH_TEST_REGISTRY/$BASE"
}

stop() { :; }

make_executor() {
    local root=$DIR/executor
    mkdir -p "$root"
    cp "$HERE/executor.py" "$root/"
    cat >"$root/Dockerfile" <<DOCKERFILE
FROM $PYTHON
COPY executor.py /kaniko/executor.py
ENTRYPOINT ["python3", "/kaniko/executor.py"]
DOCKERFILE
    docker build -q -t "$1" "$root" >"$DIR/build.log" 2>&1 || fail "no executor: $(tail -n 1 "$DIR/build.log")"
}

publish_base() {
    docker tag "$BASE" "$LAUNCH_TEST_REGISTRY/$BASE"
    docker push "$LAUNCH_TEST_REGISTRY/$BASE" >"$DIR/push.log" 2>&1 ||
        fail "the base image cannot be pushed: $(tail -n 1 "$DIR/push.log")"
    docker rmi "$LAUNCH_TEST_REGISTRY/$BASE" >/dev/null
}

run_part
