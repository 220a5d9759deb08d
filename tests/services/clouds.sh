#!/usr/bin/env bash
# Stand-ins for the clouds' registries and identities, by their real names: see
# clouds/__main__.py. ECR's API is Moto's; a real registry keeps the content.
set -euo pipefail
. "$(dirname "$0")/part.sh"

readonly CLIENT=launch-client EMAIL=launch@launch-test.iam.gserviceaccount.com
readonly HOSTS=(
    123456789012.dkr.ecr.us-east-1.amazonaws.com
    123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn
    123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com
    us-central1-docker.pkg.dev europe-docker.pkg.dev gcr.io eu.gcr.io
    launchtest.azurecr.io launchtest.azurecr.us launchtest.azurecr.cn
    registry.launch.test localhost
)

start() {
    need docker-registry docker-registry
    need python3 python3
    need openssl openssl
    local moto backend ports=()
    moto=$(moto)
    backend=$(free_port)
    for _ in 1 2 3; do ports+=("$(free_port)"); done
    serve_backend "$backend"
    authorities
    identity_files "http://127.0.0.1:${ports[1]}"
    spawn clouds env PYTHONDONTWRITEBYTECODE=1 python3 "$HERE/clouds" \
        --registries-port "${ports[0]}" --identity-port "${ports[1]}" --aws-port "${ports[2]}" \
        --backend "127.0.0.1:$backend" --moto "$moto" \
        --certificate "$DIR/server.pem" --key "$DIR/server.key" --files "$DIR"
    until_true 20 "the clouds" port_open "${ports[0]}"
    until_true 20 "the identities" port_open "${ports[1]}"
    provide LAUNCH_TEST_CLOUD_REGISTRIES "127.0.0.1:${ports[0]}"
    provide LAUNCH_TEST_CLOUD_IDENTITY "http://127.0.0.1:${ports[1]}"
    provide LAUNCH_TEST_CLOUD_AWS "http://127.0.0.1:${ports[2]}"
    provide LAUNCH_TEST_CLOUD_FILES "$DIR"
}

stop() { stop_spawned; }

# Moto of the part before, or one of our own.
moto() {
    if [ -n "${LAUNCH_TEST_AWS_ENDPOINT:-}" ]; then
        local address=${LAUNCH_TEST_AWS_ENDPOINT#http://}
        printf '%s\n' "${address%/}"
        return
    fi
    has moto_server || skip "Moto is not installed: \`pip install 'moto[server,ecr,s3,sts]'\`"
    local port
    port=$(free_port)
    spawn moto moto_server -H 127.0.0.1 -p "$port"
    until_true 60 "Moto" port_open "$port"
    printf '127.0.0.1:%s\n' "$port"
}

serve_backend() {
    {
        printf 'version: 0.1\nlog: {level: info}\n'
        printf 'storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\n' "$DIR/data"
        printf 'http: {addr: "127.0.0.1:%s", relativeurls: true}\n' "$1"
    } >"$DIR/backend.yml"
    spawn backend env -i PATH="$PATH" docker-registry serve "$DIR/backend.yml"
    until_true 20 "the registry behind" port_open "$1"
}

# A private authority, and a certificate of it for all names.
authorities() {
    local names
    names=$(printf 'DNS:%s,' "${HOSTS[@]}")IP:127.0.0.1
    key_pair ca "/CN=launch test authority" -addext basicConstraints=critical,CA:TRUE
    openssl req -newkey rsa:2048 -nodes -keyout "$DIR/server.key" -out "$DIR/server.csr" -subj /CN=localhost 2>>"$DIR/openssl.log"
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' "$names" >"$DIR/server.ext"
    openssl x509 -req -in "$DIR/server.csr" -CA "$DIR/ca.pem" -CAkey "$DIR/ca.key" -CAcreateserial \
        -days 2 -extfile "$DIR/server.ext" -out "$DIR/server.pem" 2>>"$DIR/openssl.log"
}

# key_pair NAME SUBJECT ARGS...: NAME.key, NAME.pem (self-signed), NAME.pub.
key_pair() {
    local name=$1 subject=$2
    shift 2
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "$subject" "$@" \
        -keyout "$DIR/$name.key" -out "$DIR/$name.pem" 2>>"$DIR/openssl.log"
    openssl x509 -in "$DIR/$name.pem" -noout -pubkey >"$DIR/$name.pub"
}

# The files the clouds' own tools write, with the identities' addresses.
identity_files() {
    local google=$1/google key
    key_pair service-account "/CN=launch"
    key_pair azure "/CN=launch"
    cat "$DIR/azure.key" "$DIR/azure.pem" >"$DIR/azure-application.pem"
    printf 'planted-federated\n' >"$DIR/federated.token"
    printf 'planted-subject-file\n' >"$DIR/subject.token"
    key=$(awk '{printf "%s\\n", $0}' "$DIR/service-account.key")
    cat >"$DIR/service-account.json" <<JSON
{"type": "service_account", "project_id": "launch-test", "private_key_id": "k1", "private_key": "$key",
 "client_email": "$EMAIL", "token_uri": "$google/token"}
JSON
    local user="{\"type\": \"authorized_user\", \"client_id\": \"$CLIENT\", \"client_secret\": \"planted-client-secret\", \"refresh_token\": \"planted-refresh\", \"token_uri\": \"$google/token\"}"
    printf '%s\n' "$user" >"$DIR/authorized-user.json"
    printf '%s\n' "${user/planted-refresh/planted-revoked}" >"$DIR/revoked-user.json"
    printf '%s\n' "${user/planted-refresh/planted-brief}" >"$DIR/brief-user.json"
    printf '%s\n' "${user/planted-refresh/planted-stranger}" >"$DIR/stranger-user.json"
    local impersonate="$google/iam/v1/projects/-/serviceAccounts/other@launch-test.iam.gserviceaccount.com:generateAccessToken"
    cat >"$DIR/impersonated.json" <<JSON
{"type": "impersonated_service_account", "service_account_impersonation_url": "$impersonate", "source_credentials": $user}
JSON
    external file "{\"file\": \"$DIR/subject.token\"}" "$google"
    external url "{\"url\": \"$google/subject\", \"headers\": {\"X-Test\": \"planted-header\"}, \"format\": {\"type\": \"json\", \"subject_token_field_name\": \"id_token\"}}" \
        "$google" ", \"service_account_impersonation_url\": \"$impersonate\""
    external aws '{"environment_id": "aws1", "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}' "$google"
}

# external NAME SOURCE GOOGLE REST
external() {
    cat >"$DIR/external-$1.json" <<JSON
{"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
 "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "$3/sts", "credential_source": $2${4:-}}
JSON
}

run_part
