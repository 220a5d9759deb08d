#!/usr/bin/env bash
# Three real registries on loopback, plain http: open, with basic auth, and with
# bearer tokens from a small token service whose signatures the registry checks
# (anonymous clients may pull what is below `public/`). The open one also stands behind a
# proxy that limits requests.
set -euo pipefail
. "$(dirname "$0")/part.sh"

start() {
    need docker-registry docker-registry
    need htpasswd apache2-utils
    need python3 python3
    need openssl openssl
    start_open
    start_basic
    start_token
    need nginx nginx-light
    start_limited
    need skopeo skopeo # an independent reader of what was pushed
}

stop() { stop_spawned; }

start_open() {
    local port
    port=$(free_port)
    serve open "$port" </dev/null
    provide LAUNCH_TEST_REGISTRY "127.0.0.1:$port"
}

start_basic() {
    local port
    port=$(free_port)
    htpasswd -Bbn launch s3cret-basic >"$DIR/htpasswd" 2>>"$DIR/htpasswd.log"
    serve basic "$port" <<YAML
auth: {htpasswd: {realm: launch-test, path: $DIR/htpasswd}}
YAML
    provide LAUNCH_TEST_REGISTRY_BASIC "127.0.0.1:$port"
}

start_token() {
    local port service=launch-test-registry issuer=launch-test-issuer token_port
    port=$(free_port)
    token_port=$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=launch-test-token \
        -keyout "$DIR/token.key" -out "$DIR/token.pem" 2>"$DIR/openssl.log"
    spawn token-server python3 "$HERE/token-server.py" --port "$token_port" --issuer "$issuer" \
        --service "$service" --user launch:s3cret-token --key "$DIR/token.key" --certificate "$DIR/token.pem"
    until_true 20 "the token service" port_open "$token_port"
    serve token "$port" <<YAML
auth:
  token:
    realm: http://127.0.0.1:$token_port/token
    service: $service
    issuer: $issuer
    rootcertbundle: $DIR/token.pem
YAML
    provide LAUNCH_TEST_REGISTRY_TOKEN "127.0.0.1:$port"
}

# The open registry behind nginx, which takes bodies of 1 MiB unless told otherwise.
start_limited() {
    local port open
    port=$(free_port)
    open=$(sed -n 's/^LAUNCH_TEST_REGISTRY=//p' "$DIR/env")
    cat >"$DIR/nginx.conf" <<NGINX
# Workers of another user could not open the files beside this one.
user $(id -un);
daemon off;
pid $DIR/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $DIR/nginx-b; proxy_temp_path $DIR/nginx-p;
    fastcgi_temp_path $DIR/nginx-f; uwsgi_temp_path $DIR/nginx-u; scgi_temp_path $DIR/nginx-s;
    server {
        listen 127.0.0.1:$port;
        location / { proxy_pass http://$open; proxy_set_header Host \$http_host; }
    }
}
NGINX
    spawn nginx nginx -c "$DIR/nginx.conf"
    until_true 20 "nginx" port_open "$port"
    provide LAUNCH_TEST_REGISTRY_LIMITED "127.0.0.1:$port"
}

# serve NAME PORT <AUTH: the rest of the configuration comes on stdin.
# `env -i`: an inherited, even empty, REGISTRY_AUTH would turn authentication off.
serve() {
    local config=$DIR/$1.yml
    {
        printf 'version: 0.1\nlog: {level: info}\n'
        printf 'storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\n' "$DIR/data-$1"
        printf 'http: {addr: "127.0.0.1:%s"}\n' "$2"
        cat
    } >"$config"
    spawn "$1" env -i PATH="$PATH" docker-registry serve "$config"
    until_true 20 "the $1 registry" port_open "$2"
}

run_part
