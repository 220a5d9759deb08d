#!/usr/bin/env bash
# Three object stores on loopback: S3 (the part `moto`), Azure Blob (azurite), and a double of
# Google Cloud Storage: nginx, which turns its XML API's headers into S3's, before the same
# moto. moto checks no signatures and azurite does; who is refused what is tested in-process.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly AZURITE=3.37.0
# Any AWS-shaped header will do; moto reads the service from it.
readonly AS_AWS='AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x'

start() {
    need python3 python3
    need npm npm
    need nginx nginx-light
    install_azurite
    start_s3
    start_gcs
    start_azure
}

stop() { stop_spawned; }

install_azurite() {
    local place=$CACHE/azurite-$AZURITE
    if [ -x "$place/node_modules/.bin/azurite-blob" ]; then return; fi
    npm install --silent --no-audit --no-fund --prefix "$place.part" "azurite@$AZURITE" >"$DIR/npm.log" 2>&1 ||
        skip "azurite cannot be installed: $(tail -n 1 "$DIR/npm.log")"
    rm -rf "$place"
    mv "$place.part" "$place"
}

start_s3() {
    S3=${LAUNCH_TEST_AWS_ENDPOINT:-}
    [ -n "$S3" ] || skip "there is no moto to keep the buckets"
    make_bucket contexts
    make_bucket contexts-of-google
    make_bucket contexts-in-ireland eu-west-1
    provide LAUNCH_TEST_S3 "$S3"
}

# make_bucket NAME [REGION]
make_bucket() {
    local body=''
    if [ $# = 2 ]; then
        body="<CreateBucketConfiguration><LocationConstraint>$2</LocationConstraint></CreateBucketConfiguration>"
    fi
    python3 - "$S3/$1" "${AS_AWS/us-east-1/${2:-us-east-1}}" "$body" <<'PYTHON'
import sys, urllib.request
url, authorization, body = sys.argv[1:]
headers = {"Authorization": authorization, "Content-Type": "application/xml"}
urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers, method="PUT"))
PYTHON
}

start_gcs() {
    local port
    port=$(free_port)
    cat >"$DIR/nginx.conf" <<NGINX
# Workers of another user could not open the files beside this one.
user $(id -un);
daemon off;
pid $DIR/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $DIR/nginx-body; proxy_temp_path $DIR/nginx-proxy;
    fastcgi_temp_path $DIR/nginx-f; uwsgi_temp_path $DIR/nginx-u; scgi_temp_path $DIR/nginx-s;
    map \$http_x_goog_if_generation_match \$if_none_match { default ""; 0 "*"; }
    server {
        listen 127.0.0.1:$port;
        client_max_body_size 0;
        location / {
            if (\$http_authorization !~ "^Bearer planted-") { return 401; }
            # With a path, if only a slash, nginx unescapes that of the request.
            proxy_pass $S3/;
            proxy_set_header Authorization "$AS_AWS";
            proxy_set_header If-None-Match \$if_none_match;
            add_header x-goog-generation 1 always;
        }
    }
}
NGINX
    spawn nginx nginx -c "$DIR/nginx.conf"
    until_true 20 "nginx" port_open "$port"
    provide LAUNCH_TEST_GCS "http://127.0.0.1:$port"
}

start_azure() {
    local port
    port=$(free_port)
    spawn azurite "$CACHE/azurite-$AZURITE/node_modules/.bin/azurite-blob" --blobHost 127.0.0.1 \
        --blobPort "$port" --location "$DIR/azurite" --skipApiVersionCheck --disableTelemetry
    until_true 60 "azurite" port_open "$port"
    python3 "$HERE/azure-container.py" "http://127.0.0.1:$port" contexts
    provide LAUNCH_TEST_AZURE "http://127.0.0.1:$port/devstoreaccount1"
}

run_part
