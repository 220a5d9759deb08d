#!/usr/bin/env bash
# A real Kubernetes of one node: etcd, API server, controller manager, scheduler, and
# a kubelet that runs pods on the local Docker Engine. Its programs are compiled from
# Debian's source package, once (about ten minutes), and kept. A cluster named by
# LAUNCH_TEST_KUBECONFIG is used as it is, and left running.
#
# Pods see the engine's images: use `imagePullPolicy: IfNotPresent` or `Never`. They
# reach this machine's loopback with `hostNetwork: true`.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly VERSION=1.20.2
readonly PACKAGE="kubernetes=1.20.5+really$VERSION-1.1+deb12u1"
readonly PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet)
readonly BIN=$CACHE/kubernetes-$VERSION
readonly KUBECONFIG_FILE=$DIR/kubeconfig
readonly PAUSE=launch-test/pause:1

start() {
    need curl curl
    if [ -n "${LAUNCH_TEST_KUBECONFIG:-}" ]; then use_given; return; fi
    [ "$(id -u)" = 0 ] || skip "a kubelet needs root, and LAUNCH_TEST_KUBECONFIG names no cluster"
    on_debian || skip "Kubernetes is compiled from a Debian package, and this is not Debian"
    docker version >/dev/null 2>&1 || skip "no Docker Engine to run pods on"
    alone_on_engine
    (flock 9 && compile) 9>"$CACHE/kubernetes.lock"
    start_cluster
    provide LAUNCH_TEST_KUBECONFIG "$KUBECONFIG_FILE"
}

# In the reverse order: a server ends at once when nobody talks to it any more.
stop() {
    [ -e "$DIR/pids" ] || return 0
    tac "$DIR/pids" >"$DIR/pids.reversed"
    mv "$DIR/pids.reversed" "$DIR/pids"
    stop_spawned
    docker ps -aq --filter "label=io.kubernetes.pod.namespace" | xargs -r docker rm -f >/dev/null
    local mount
    grep -o " $DIR/[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount "$mount" || true; done
}

use_given() {
    [ -r "$LAUNCH_TEST_KUBECONFIG" ] || fail "LAUNCH_TEST_KUBECONFIG=$LAUNCH_TEST_KUBECONFIG is not a file"
    provide LAUNCH_TEST_KUBECONFIG "$LAUNCH_TEST_KUBECONFIG"
}

# A kubelet removes every pod it does not know from its engine.
alone_on_engine() {
    [ -z "$(docker ps -q --filter label=io.kubernetes.pod.namespace)" ] ||
        skip "the Docker Engine runs another cluster's pods: name it in LAUNCH_TEST_KUBECONFIG"
}

# ---- the programs ------------------------------------------------------------

compile() {
    local program
    for program in "${PROGRAMS[@]}"; do
        [ -x "$BIN/$program" ] || { build; return; }
    done
}

build() {
    local work=$CACHE/kubernetes-source tree
    tree=$work/gopath/src/k8s.io/kubernetes
    install_packages golang-1.19-go rsync jq make dpkg-dev
    if [ ! -d "$tree/cmd" ]; then fetch_source "$work" "$tree"; fi
    patch_source "$tree"
    (
        cd "$tree"
        export PATH=/usr/lib/go-1.19/bin:$PATH GO111MODULE=off GOFLAGS="" CGO_ENABLED=0
        export GOPATH=$work/gopath GOCACHE=$work/gocache
        make generated_files UPDATE_API_KNOWN_VIOLATIONS=true
        go build -trimpath -ldflags "$(linked_version)" -o "$work/out/" "${PROGRAMS[@]/#/./cmd/}"
    ) >"$DIR/build.log" 2>&1 || fail "Kubernetes does not compile: $(tail -n 3 "$DIR/build.log")"
    mkdir -p "$BIN"
    mv "$work/out"/* "$BIN/"
    rm -rf "$work"
}

linked_version() {
    local version=k8s.io/component-base/version
    printf -- '-s -w -X %s.gitVersion=v%s -X %s.gitMajor=1 -X %s.gitMinor=20' \
        "$version" "$VERSION" "$version" "$version"
}

# fetch_source WORK TREE: with package lists of our own, as most machines have no sources in theirs.
fetch_source() {
    local lists=$1/apt
    mkdir -p "$lists"/{lists,cache/archives}/partial "$2"
    printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' \
        "$(mirror)" >"$lists/sources.list"
    local options=(
        -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache"
    )
    (cd "$1" && apt "${options[@]}" update && apt "${options[@]}" source --download-only "$PACKAGE") ||
        skip "the source of Kubernetes cannot be fetched: $(tail -n 1 "$DIR/apt.log")"
    tar -xzf "$1"/kubernetes_*.orig.tar.gz -C "$2" --strip-components=1
}

# The mirror this machine installs from.
mirror() {
    local found
    found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        grep -E '^(URIs:|deb )' | grep -oE 'https?://[^ ]+' | head -n 1)
    printf '%s' "${found:-http://deb.debian.org/debian}"
}

# In a container (a CI machine is one) the score of the OOM killer may not be lowered.
patch_source() {
    sed -i 's/defaultSandboxOOMAdj int = -998/defaultSandboxOOMAdj int = 0/' \
        "$1/pkg/kubelet/dockershim/docker_sandbox.go"
    sed -i -E 's/(guaranteedOOMScoreAdj int += )-997/\10/' "$1/pkg/kubelet/qos/policy.go"
    patch_map_iteration "$1/vendor/github.com/modern-go/reflect2"
}

# From Go 1.18 on the caller owns a map's iterator; a library that still takes it from
# the runtime brings the API server down with it, sooner or later.
patch_map_iteration() {
    sed -i -e 's/^func mapiterinit(.*) \*hiter$/func mapiterinit(kind, table unsafe.Pointer, it *hiter)/' \
        -e 's|// rest fields are ignored|rest iteratorRest|' "$1/unsafe_link.go"
    sed -i 's/ mapiterinit(type2.rtype, / startedIterator(type2.rtype, /' "$1/unsafe_map.go"
    cat >"$1/iterator.go" <<'GO'
package reflect2

import "unsafe"

// The layout of the runtime's own iterator, so that the collector sees its pointers.
type iteratorRest struct {
	kind, table, buckets, bucket unsafe.Pointer
	overflow, oldOverflow        *[]unsafe.Pointer
	start                        uintptr
	offset                       uint8
	wrapped                      bool
	b, i                         uint8
	at, check                    uintptr
}

func startedIterator(kind, table unsafe.Pointer) *hiter {
	it := new(hiter)
	mapiterinit(kind, table, it)
	return it
}
GO
}

# ---- the cluster -------------------------------------------------------------

start_cluster() {
    need etcd etcd-server
    need openssl openssl
    need conntrack conntrack
    need iptables iptables
    need socat socat
    need_pause_image
    openssl genrsa -out "$DIR/service-accounts.key" 2048 2>"$DIR/openssl.log"
    PORT=$(free_port)
    TOKEN=$(openssl rand -hex 16)
    start_etcd
    start_api_server
    start_controllers
    start_kubelet
    until_true 120 "the node" node_is_ready
    until_true 60 "the default service account" ask /api/v1/namespaces/default/serviceaccounts/default
}

need_pause_image() {
    if docker image inspect "$PAUSE" >/dev/null 2>&1; then return; fi
    local base=launch-test/busybox:1
    docker image inspect "$base" >/dev/null 2>&1 || skip "the image \`$base\` of the part images is missing"
    printf 'FROM %s\nENTRYPOINT ["sleep", "2000000000"]\n' "$base" |
        docker build -q -t "$PAUSE" - >"$DIR/pause.log" 2>&1 || fail "no pause image: $(tail -n 1 "$DIR/pause.log")"
}

start_etcd() {
    local peers
    ETCD=http://127.0.0.1:$(free_port)
    peers=http://127.0.0.1:$(free_port)
    spawn etcd etcd --data-dir "$DIR/etcd" --unsafe-no-fsync --listen-peer-urls "$peers" \
        --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers" \
        --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD"
    until_true 30 etcd curl -sf "$ETCD/health"
}

start_api_server() {
    printf '%s,admin,admin,system:masters\n' "$TOKEN" >"$DIR/tokens.csv"
    spawn kube-apiserver "$BIN/kube-apiserver" --etcd-servers="$ETCD" \
        --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$PORT" --insecure-port=0 \
        --cert-dir="$DIR/certificates" --token-auth-file="$DIR/tokens.csv" --authorization-mode=RBAC \
        --service-account-key-file="$DIR/service-accounts.key" \
        --service-account-signing-key-file="$DIR/service-accounts.key" \
        --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16 \
        --feature-gates=TTLAfterFinished=true --allow-privileged=true --endpoint-reconciler-type=none
    until_true 60 "the API server's certificate" test -s "$DIR/certificates/apiserver.crt"
    write_kubeconfig
    until_true 120 "the API server" ask /readyz
}

write_kubeconfig() {
    cat >"$KUBECONFIG_FILE" <<YAML
apiVersion: v1
kind: Config
current-context: launch-test
clusters:
- name: local
  cluster: {server: "https://127.0.0.1:$PORT", certificate-authority: "$DIR/certificates/apiserver.crt"}
users:
- name: admin
  user: {token: "$TOKEN"}
contexts:
- name: launch-test
  context: {cluster: local, user: admin, namespace: default}
YAML
    chmod 600 "$KUBECONFIG_FILE"
}

start_controllers() {
    spawn kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$KUBECONFIG_FILE" \
        --leader-elect=false --service-account-private-key-file="$DIR/service-accounts.key" \
        --use-service-account-credentials=true --root-ca-file="$DIR/certificates/apiserver.crt" \
        --feature-gates=TTLAfterFinished=true --port=0 --secure-port=0 \
        --controllers='*,-nodeipam,-route,-cloud-node-lifecycle'
    spawn kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$KUBECONFIG_FILE" --leader-elect=false \
        --port=0 --secure-port=0
}

# The API server asks the kubelet for logs by the node's name, which is loopback's.
start_kubelet() {
    spawn kubelet "$BIN/kubelet" --kubeconfig="$KUBECONFIG_FILE" --hostname-override=localhost \
        --container-runtime=docker --docker-endpoint="${DOCKER_HOST:-unix:///var/run/docker.sock}" \
        --container-runtime-endpoint="unix://$DIR/dockershim.sock" \
        --experimental-dockershim-root-directory="$DIR/dockershim" \
        --pod-infra-container-image="$PAUSE" --cgroup-driver="$(cgroup_driver)" --fail-swap-on=false \
        --root-dir="$DIR/kubelet" --cert-dir="$DIR/kubelet-certificates" --address=127.0.0.1 \
        --port="$(free_port)" --read-only-port=0 --healthz-port=0 --eviction-hard='memory.available<1Mi' \
        --image-gc-high-threshold=100 --cgroups-per-qos=false --enforce-node-allocatable= \
        --network-plugin= --register-node=true --authorization-mode=AlwaysAllow --anonymous-auth=true
}

cgroup_driver() { docker info --format '{{.CgroupDriver}}'; }

# ask PATH: the API server's answer.
ask() {
    curl -sf --max-time 10 --cacert "$DIR/certificates/apiserver.crt" \
        -H "Authorization: Bearer $TOKEN" "https://127.0.0.1:$PORT$1"
}

node_is_ready() {
    ask /api/v1/nodes/localhost | python3 -c '
import json, sys
conditions = json.load(sys.stdin)["status"]["conditions"]
sys.exit(not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions))'
}

run_part
