#!/usr/bin/env bash
# A Docker Engine: the one that answers already, or a private one of our own
# whose data lives in the scratch directory and goes with it.
set -euo pipefail
. "$(dirname "$0")/part.sh"

start() {
    need_client
    if answers; then return; fi
    [ -z "${DOCKER_HOST:-}" ] || skip "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST"
    [ "$(id -u)" = 0 ] || skip "no Docker Engine answers, and starting one needs root"
    need dockerd docker.io
    start_engine
    provide DOCKER_HOST "$DOCKER_HOST"
}

stop() {
    local ours=no
    if [ -e "$DIR/pids" ] && [ ! -e "$DIR/bridge-was-there" ]; then ours=yes; fi
    stop_spawned
    unmount_leftovers
    if [ "$ours" = yes ] && bridge_exists && has ip; then ip link delete docker0 || true; fi
}

# A stopped engine leaves its network namespace mounted.
unmount_leftovers() {
    local mount
    grep -o " $DIR/[^ ]*" /proc/mounts | while read -r mount; do umount "$mount" || true; done
}

# From Debian 13 on the client is a package of its own.
need_client() {
    has docker || need dockerd docker.io
    need docker docker-cli
}

answers() { timeout 20 docker version >/dev/null 2>&1; }

# Some machines forbid the bridge or its firewall rules: then host network only.
# An engine without a bridge deletes `docker0`, so never where one is already.
start_engine() {
    export DOCKER_HOST=unix://$DIR/docker.sock
    if bridge_exists; then touch "$DIR/bridge-was-there"; fi
    engine dockerd
    if settles; then return; fi
    bridge_exists || start_engine_without_bridge
    settles || fail "dockerd does not start: $(tail -n 3 "$DIR"/dockerd*.log)"
}

start_engine_without_bridge() {
    stop_spawned
    engine dockerd-no-bridge --bridge=none --iptables=false --ip-masq=false
}

bridge_exists() { [ -e /sys/class/net/docker0 ]; }

engine() {
    local name=$1
    shift
    spawn "$name" dockerd --data-root "$DIR/data" --exec-root "$DIR/exec" \
        --pidfile "$DIR/docker.pid" --host "$DOCKER_HOST" "$@"
}

settles() {
    for _ in $(seq 60); do
        if answers; then return; fi
        still_running || return 1
        sleep 0.5
    done
    return 1
}

still_running() {
    local pid since
    read -r pid since < <(tail -n 1 "$DIR/pids")
    alive "$pid" "$since"
}

run_part
