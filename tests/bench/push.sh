#!/usr/bin/env bash
# Push of a large image to a registry on this machine: ours beside `skopeo copy` and
# `docker push`. Half of the layers are there already. Prints a table: seconds, peak memory,
# requests; the median of the rounds, and the fastest.
#
#   tests/bench/push.sh [ROUNDS [LAYERS [MEBIBYTES]]]      3 rounds of 20 layers of 100 MiB
#
# Each push goes to a registry of its own, whose storage is empty but for the half that the
# same tool pushed before, and whose log has the requests. Docker runs as a daemon of its own
# and compresses layers as it pushes, since it keeps them unpacked.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT HERE=$ROOT/tests/bench
readonly ROUNDS=${1:-3} LAYERS=${2:-20} MEBIBYTES=${3:-100}
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/launch-bench-push.XXXXXX")
readonly SCRATCH LAYOUT=$SCRATCH/layout ENGINE=unix://$SCRATCH/docker.sock
REGISTRY='' PORT='' DOCKERD=''

say() { printf '%s\n' "$*" >&2; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

until_open() {
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    say "nothing answers on port $1"; exit 1
}

end() { [ -z "$1" ] || { kill "$1" && wait "$1"; } 2>/dev/null || true; }

clean_up() {
    end "$REGISTRY"
    end "$DOCKERD"
    rm -rf "$SCRATCH"
}

# ---- the parts ---------------------------------------------------------------

start_registry() {
    PORT=$(free_port)
    cat >"$SCRATCH/registry.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: $SCRATCH/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$PORT"}
YAML
    env -i PATH="$PATH" docker-registry serve "$SCRATCH/registry.yml" >"$SCRATCH/access.log" 2>"$SCRATCH/registry.log" &
    REGISTRY=$!
    until_open "$PORT"
}

stop_registry() {
    end "$REGISTRY"
    REGISTRY=''
    rm -rf "$SCRATCH/registry"
}

# The engine gets the image from a registry, as it would get it from a build.
start_docker() {
    dockerd --data-root "$SCRATCH/docker" --exec-root "$SCRATCH/exec" -H "$ENGINE" -p "$SCRATCH/dockerd.pid" \
        --bridge=none --iptables=false --ip-masq=false >"$SCRATCH/dockerd.log" 2>&1 &
    DOCKERD=$!
    for _ in $(seq 300); do
        if docker -H "$ENGINE" version >/dev/null 2>&1; then break; fi
        sleep 0.1
    done
    start_registry
    local tag
    for tag in base v1; do
        skopeo copy -q --dest-tls-verify=false "oci:$LAYOUT:$tag" "docker://127.0.0.1:$PORT/bench:$tag"
        docker -H "$ENGINE" pull -q "127.0.0.1:$PORT/bench:$tag" >/dev/null
        docker -H "$ENGINE" tag "127.0.0.1:$PORT/bench:$tag" "bench:$tag"
    done
    stop_registry
}

# ---- the pushes --------------------------------------------------------------

# push TOOL TAG: the command, in COMMAND.
command_of() {
    local image=127.0.0.1:$PORT/bench:$2
    case $1 in
        launch) COMMAND=("$ROOT/target/release/examples/push" "$LAYOUT" "$image") ;;
        skopeo) COMMAND=(skopeo copy --dest-tls-verify=false "oci:$LAYOUT:$2" "docker://$image") ;;
        docker)
            docker -H "$ENGINE" tag "bench:$2" "$image"
            COMMAND=(docker -H "$ENGINE" push -q "$image") ;;
    esac
}

# One line per push: TOOL SECONDS MEBIBYTES REQUESTS.
round() {
    local tool=$1 before daemons=() COMMAND=()
    start_registry
    command_of "$tool" base
    "${COMMAND[@]}" >>"$SCRATCH/$tool.log" 2>&1
    before=$(wc -l <"$SCRATCH/access.log")
    command_of "$tool" v1
    if [ "$tool" = docker ]; then daemons=(--daemon "$DOCKERD"); fi
    sync
    local figures
    figures=$(python3 "$HERE/measure.py" "${daemons[@]}" -- "${COMMAND[@]}" 2>>"$SCRATCH/$tool.log")
    sleep 0.2
    echo "$tool $figures $(($(wc -l <"$SCRATCH/access.log") - before))" | tee -a "$SCRATCH/results" >&2
    verify
    stop_registry
}

# What arrived is the image: skopeo reads its manifest, and the registry has every layer.
verify() {
    local count
    count=$(skopeo inspect --tls-verify=false "docker://127.0.0.1:$PORT/bench:v1" |
        python3 -c 'import json, sys; print(len(json.load(sys.stdin)["Layers"]))')
    [ "$count" = "$LAYERS" ] || { say "the image has $count layers"; exit 1; }
}

table() {
    python3 - "$SCRATCH/results" <<'PYTHON'
import statistics, sys
rows = {}
for line in open(sys.argv[1]):
    tool, *figures = line.split()
    rows.setdefault(tool, []).append([float(figure) for figure in figures])
names = {"launch": "launch-registry", "skopeo": "skopeo copy", "docker": "docker push"}
print("| push by | median s | fastest s | peak MiB | requests |")
print("| --- | ---: | ---: | ---: | ---: |")
for tool, runs in rows.items():
    seconds, memory, requests = zip(*runs)
    print(f"| {names[tool]} | {statistics.median(seconds):.2f} | {min(seconds):.2f} "
          f"| {max(memory):.0f} | {statistics.median(requests):.0f} |")
PYTHON
}

main() {
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    cargo build --manifest-path "$ROOT/Cargo.toml" --release -q -p launch-registry --example push
    say "writing an image of $LAYERS layers of $MEBIBYTES MiB"
    python3 "$HERE/layout.py" "$LAYOUT" "$LAYERS" "$MEBIBYTES"
    start_docker
    local number tool
    for number in $(seq "$ROUNDS"); do
        say "round $number"
        for tool in launch skopeo docker; do round "$tool"; done
    done
    printf '%s layers of %s MiB, half of them there; %s rounds; %s cores; %s\n\n' \
        "$LAYERS" "$MEBIBYTES" "$ROUNDS" "$(nproc)" "$(date -u +%F)"
    table
}

main "$@"
