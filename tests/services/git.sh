#!/usr/bin/env bash
# Git over smart http (open, and private with basic auth) and over ssh, serving
# small repositories made here: `sample.git` with a submodule `lib.git` at `../`.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly REPOSITORIES=$DIR/repositories

start() {
    need git git
    need python3 python3
    make_repositories
    start_http
    start_https
    start_ssh
}

stop() { stop_spawned; }

# The machine's own git configuration must not reach the repositories.
git() {
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
        GIT_AUTHOR_NAME=Launch GIT_AUTHOR_EMAIL=launch@example.com GIT_AUTHOR_DATE='1700000000 +0000' \
        GIT_COMMITTER_NAME=Launch GIT_COMMITTER_EMAIL=launch@example.com GIT_COMMITTER_DATE='1700000000 +0000' \
        command git "$@" >>"$DIR/git.log" 2>&1
}

make_repositories() {
    mkdir -p "$REPOSITORIES/private"
    work_tree lib
    printf 'def greet(name):\n    return f"hello, {name}"\n' >"$DIR/lib/greeting.py"
    commit lib 'lib: greet by name'
    make_sample
    local name
    for name in lib sample; do
        publish "$name" "$REPOSITORIES/$name.git"
        publish "$name" "$REPOSITORIES/private/$name.git"
    done
}

make_sample() {
    work_tree sample
    printf 'print("sample: main")\n' >"$DIR/sample/main.py"
    printf '# the standard library is enough\n' >"$DIR/sample/requirements.txt"
    add_submodule
    commit sample 'sample: a job that prints'
    git -C "$DIR/sample" tag v1
    git -C "$DIR/sample" tag -a -m 'the first annotated release' v1-annotated
    git -C "$DIR/sample" checkout -q -b feature
    printf 'print("sample: feature")\n' >"$DIR/sample/main.py"
    commit sample 'sample: print the branch'
    git -C "$DIR/sample" checkout -q main
    printf 'sample\n' >"$DIR/sample/README"
    commit sample 'sample: say what it is'
}

# As `git submodule add ../lib.git lib` leaves it, without a remote to ask.
add_submodule() {
    printf '[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n' >"$DIR/sample/.gitmodules"
    mkdir -p "$DIR/sample/lib"
    git -C "$DIR/sample" update-index --add --cacheinfo "160000,$(head_of lib),lib"
}

head_of() { command git -C "$DIR/$1" rev-parse HEAD; }

work_tree() { git init -q -b main "$DIR/$1"; }

# `lib` stays as staged: its work tree in `sample` is empty.
commit() {
    git -C "$DIR/$1" add -- ':!lib' .
    git -C "$DIR/$1" commit -q -m "$2"
}

publish() {
    git clone -q --bare "$DIR/$1" "$2"
    git -C "$2" config uploadpack.allowAnySHA1InWant true
    git -C "$2" config http.receivepack false
}

start_http() {
    local port
    port=$(free_port)
    spawn http python3 "$HERE/git-server.py" --port "$port" --root "$REPOSITORIES" --user launch:s3cret-git
    until_true 20 "git over http" port_open "$port"
    provide LAUNCH_TEST_GIT_HTTP "http://127.0.0.1:$port"
}

# The certificate is its own authority; git is told with GIT_SSL_CAINFO.
start_https() {
    need openssl openssl
    local port
    port=$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=launch-test-git \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$DIR/tls.key" -out "$DIR/tls.crt" 2>>"$DIR/openssl.log"
    spawn https python3 "$HERE/git-server.py" --port "$port" --root "$REPOSITORIES" --user launch:s3cret-git \
        --certificate "$DIR/tls.crt" --key "$DIR/tls.key"
    until_true 20 "git over https" port_open "$port"
    provide LAUNCH_TEST_GIT_HTTPS "https://127.0.0.1:$port"
    provide LAUNCH_TEST_GIT_CA "$DIR/tls.crt"
}

# sshd wants to be called by its full path, which `command -v` gives.
start_ssh() {
    need_sshd
    local port user
    port=$(free_port)
    user=$(id -un)
    make_keys "$port"
    configure_sshd "$port"
    spawn sshd "$(command -v sshd)" -D -e -f "$DIR/sshd_config"
    until_true 20 "sshd" port_open "$port"
    logs_in "$user" "$port" || skip "sshd does not let \`$user\` in: $(tail -n 1 "$DIR/ssh.log")"
    provide LAUNCH_TEST_GIT_SSH "ssh://$user@127.0.0.1:$port$REPOSITORIES/sample.git"
    provide LAUNCH_TEST_GIT_SSH_KEY "$DIR/client_key"
    provide LAUNCH_TEST_GIT_SSH_KNOWN_HOSTS "$DIR/known_hosts"
}

# An account without a login shell, for one, cannot.
logs_in() {
    ssh -F none -i "$DIR/client_key" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10 \
        -o UserKnownHostsFile="$DIR/known_hosts" -p "$2" "$1@127.0.0.1" true >"$DIR/ssh.log" 2>&1
}

# The system directories hold sshd, and are not on everybody's PATH.
need_sshd() {
    PATH=$PATH:/usr/sbin:/sbin
    need sshd openssh-server
    need ssh openssh-client
    if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi
}

make_keys() {
    ssh-keygen -q -t ed25519 -N '' -C launch-test-host -f "$DIR/host_key"
    ssh-keygen -q -t ed25519 -N '' -C launch-test-client -f "$DIR/client_key"
    printf 'restrict %s\n' "$(cat "$DIR/client_key.pub")" >"$DIR/authorized_keys"
    printf '[127.0.0.1]:%s %s\n' "$1" "$(cut -d' ' -f1,2 "$DIR/host_key.pub")" >"$DIR/known_hosts"
}

# Without PAM sshd refuses an account whose password is locked with `!`.
configure_sshd() {
    local pam=no
    if grep -qs "^$(id -un):!" /etc/shadow; then pam=yes; fi
    cat >"$DIR/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:$1
HostKey $DIR/host_key
PidFile none
AuthorizedKeysFile $DIR/authorized_keys
StrictModes no
UsePAM $pam
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv PATH=$PATH
CONFIG
}

run_part
