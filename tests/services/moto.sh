#!/usr/bin/env bash
# moto, which answers as S3, ECR, STS, IAM, SageMaker and CloudWatch do. Every test
# makes what it needs (a bucket, a repository) under a name of its own; any request
# with an AWS signature is let in, whatever its keys.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly VERSION=5.2.5
readonly VENV=$CACHE/moto-$VERSION

start() {
    need python3 python3
    (flock 9 && make_venv) 9>"$CACHE/moto.lock"
    local port
    port=$(free_port)
    spawn moto "$VENV/bin/moto_server" -H 127.0.0.1 -p "$port"
    until_true 60 moto port_open "$port"
    provide LAUNCH_TEST_AWS_ENDPOINT "http://127.0.0.1:$port"
}

stop() { stop_spawned; }

# One venv for all runs; the mark says that it is whole.
make_venv() {
    [ ! -e "$VENV/whole" ] || return 0
    if ! python3 -c 'import ensurepip' 2>/dev/null; then need_venv; fi
    {
        python3 -m venv --clear "$VENV" &&
            "$VENV/bin/pip" install --quiet --disable-pip-version-check \
                "moto[server,s3,ecr,sts,sagemaker,logs,iam]==$VERSION"
    } >"$DIR/pip.log" 2>&1 || skip "moto cannot be installed: $(tail -n 1 "$DIR/pip.log")"
    touch "$VENV/whole"
}

need_venv() {
    on_debian && [ "$(id -u)" = 0 ] || skip "python3 has no \`ensurepip\`: install python3-venv"
    install_packages python3-venv
}

run_part
