#!/usr/bin/env bash
# A PostgreSQL server on loopback, with a password and with TLS of a private CA. Its data
# lies in a directory of its own, since the server refuses to run as root.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly PASSWORD=s3cret-postgres
BIN=

start() {
    find_server
    need openssl openssl
    local port data
    port=$(free_port)
    data=$(mktemp -d "${TMPDIR:-/tmp}/launch-postgres.XXXXXX")
    printf '%s\n' "$data" >"$DIR/data"
    printf '%s' "$PASSWORD" >"$data/password"
    certificates "$data"
    own "$data"
    "${AS[@]}" "$BIN/initdb" -D "$data/db" -U launch --pwfile="$data/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$DIR/initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 1 "$DIR/initdb.log")"
    # Durability costs nothing a test can see, so it stays on; only the cluster's own
    # files need no syncing, as they go with the run.
    spawn postgres "${AS[@]}" "$BIN/postgres" -D "$data/db" -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories="$data" -c max_connections=200 \
        -c ssl=on -c ssl_cert_file="$data/server.pem" -c ssl_key_file="$data/server.key" -c fsync=off
    until_true 30 PostgreSQL "$BIN/pg_isready" -h 127.0.0.1 -p "$port" -d postgres
    provide LAUNCH_TEST_POSTGRES "postgres://launch:$PASSWORD@127.0.0.1:$port/postgres?sslmode=disable"
    cp "$data/ca.pem" "$DIR/ca.pem"
    provide LAUNCH_TEST_POSTGRES_CA "$DIR/ca.pem"
}

stop() {
    stop_spawned
    if [ -e "$DIR/data" ]; then rm -rf "$(cat "$DIR/data")"; fi
}

# Debian keeps the server's programs out of the PATH, in a directory for each version.
find_server() {
    BIN=$(newest_server)
    if [ -n "$BIN" ]; then return; fi
    need pg_lsclusters postgresql
    BIN=$(newest_server)
    [ -n "$BIN" ] || fail "package \`postgresql\` did not bring a server"
}

newest_server() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1 || true)
    [ -n "$found" ] || found=$(command -v initdb || true)
    [ -z "$found" ] || dirname "$found"
}

certificates() {
    local dir=$1
    {
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=launch-test-ca" \
            -keyout "$dir/ca.key" -out "$dir/ca.pem"
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$dir/server.key" -out "$dir/server.csr"
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n' >"$dir/extensions"
        openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial \
            -days 2 -extfile "$dir/extensions" -out "$dir/server.pem"
    } 2>"$DIR/openssl.log"
    chmod 600 "$dir/server.key"
}

# Root hands the data to an account that owns nothing else.
owner() { if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }

# What stands before a command of the server, `env` if nothing need.
AS=(env)
own() {
    if [ "$(id -u)" != 0 ]; then return; fi
    chown -R "$(owner)" "$1"
    AS=(setpriv "--reuid=$(owner)" "--regid=$(id -g "$(owner)")" --clear-groups)
}

run_part
