# shellcheck shell=bash
# What every part of the test surroundings shares; sourced by its neighbours.
#
# A part is a script `NAME.sh start|stop DIR`. `start` leaves in DIR:
#   env    lines KEY=value for the tests
#   why    one line, when it exits 77: the part cannot be had here (skipped)
#   pids   the processes it started, the only ones `stop` ends
#   *.log  their output
# The caller gives CACHE, a directory that outlives the run.

readonly SKIPPED=77
readonly VERB=${1:?usage: NAME.sh start|stop DIR} DIR=${2:?usage: NAME.sh start|stop DIR}
readonly CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/launch-tests}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
mkdir -p "$DIR" "$CACHE"

provide() { printf '%s=%s\n' "$1" "$2" >>"$DIR/env"; }

skip() { printf '%s\n' "$*" >"$DIR/why"; exit "$SKIPPED"; }

fail() { printf '%s\n' "$*" >"$DIR/why"; printf '%s\n' "$*" >&2; exit 1; }

has() { command -v "$1" >/dev/null 2>&1; }

on_debian() { has apt-get && has dpkg; }

# need COMMAND PACKAGE: installs the package when the command is absent.
need() {
    if has "$1"; then return; fi
    on_debian || skip "\`$1\` is not installed, and this is not Debian: install it by hand"
    [ "$(id -u)" = 0 ] || skip "\`$1\` is not installed: run as root, or \`apt-get install $2\`"
    install_packages "$2"
    has "$1" || fail "package \`$2\` did not bring \`$1\`"
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$DIR/apt.log" 2>&1; }

# Package lists may be absent or stale on a fresh machine, hence the second try.
install_packages() {
    local held=no
    keep_services_stopped && held=yes
    apt install --no-install-recommends -y "$@" ||
        { apt update && apt install --no-install-recommends -y "$@"; } || true
    if [ "$held" = yes ]; then rm -f /usr/sbin/policy-rc.d; fi
    dpkg -s "$@" >/dev/null 2>&1 || fail "cannot install $*: $(tail -n 1 "$DIR/apt.log")"
}

# Packages must not start their own daemons: Debian asks policy-rc.d first.
keep_services_stopped() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 1
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A pid alone may be reused; with its start time it names one process. A zombie
# (state Z), which waits for a parent that may never ask, counts as ended.
started_at() { awk '$3 != "Z" { print $22 }' "/proc/$1/stat" 2>/dev/null; }

# spawn NAME COMMAND...: in the background, remembered, output to NAME.log.
spawn() {
    local name=$1
    shift
    setsid "$@" >"$DIR/$name.log" 2>&1 </dev/null &
    echo "$! $(started_at $!)" >>"$DIR/pids"
}

# until_true SECONDS WHAT COMMAND...
until_true() {
    local tries=$(($1 * 10)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" -le 0 ]; then fail "$what did not answer; see its log: $(tail -n 3 "$DIR"/*.log)"; fi
        sleep 0.1
    done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

alive() { [ "$(started_at "$1")" = "$2" ]; }

stop_spawned() {
    [ -e "$DIR/pids" ] || return 0
    local pid since
    while read -r pid since; do
        if alive "$pid" "$since"; then end "$pid" "$since"; fi
    done <"$DIR/pids"
    rm -f "$DIR/pids"
}

end() {
    kill "$1" 2>/dev/null || true
    for _ in $(seq 150); do
        alive "$1" "$2" || return 0
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}

# Called last by each part: runs the function of the verb.
run_part() {
    case $VERB in
        start) : >"$DIR/env"; start ;;
        stop) stop ;;
        *) fail "unknown verb \`$VERB\`: start or stop" ;;
    esac
}
