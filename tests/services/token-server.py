"""A registry token service: the Distribution token protocol, for tests.

Standard library only; `openssl` signs. The one user may do everything; anonymous
clients may pull what is below `public/`; a wrong password is refused. `GET /token` is the docker protocol,
`POST /token` the OAuth2 form of it (grants `password` and `refresh_token`).
"""

import argparse
import base64
import json
import secrets
import ssl
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LIFETIME = 300
REFRESH_TOKENS = set()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(claims):
    """A JWT whose header carries the certificate the registry trusts (RFC 7515)."""
    with open(OPTIONS.certificate) as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    parts = [base64url(json.dumps(part).encode()) for part in (header, claims)]
    command = ["openssl", "dgst", "-sha256", "-sign", OPTIONS.key]
    signature = subprocess.run(command, input=b".".join(parts), capture_output=True, check=True)
    return b".".join([*parts, base64url(signature.stdout)]).decode()


def granted(scopes, user):
    """What the scopes ask for, cut down to what the user may do."""
    access = []
    for scope in " ".join(scopes).split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        wanted = actions.split(",")
        allowed = wanted if user else [action for action in wanted if is_public(name, action)]
        access.append({"type": kind, "name": name, "actions": allowed})
    return access


def is_public(name, action):
    return name.startswith("public/") and action == "pull"


def answer(scopes, user, offline):
    now = int(time.time())
    claims = {
        "iss": OPTIONS.issuer,
        "sub": user,
        "aud": OPTIONS.service,
        "iat": now,
        "nbf": now - 10,
        "exp": now + LIFETIME,
        "jti": secrets.token_hex(8),
        "access": granted(scopes, user),
    }
    token = signed(claims)
    issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    body = {"token": token, "access_token": token, "expires_in": LIFETIME, "issued_at": issued}
    if offline and user:
        body["refresh_token"] = secrets.token_hex(16)
        REFRESH_TOKENS.add(body["refresh_token"])
    return body


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        user = self.basic_user()
        offline = query.get("offline_token") == ["true"]
        self.grant(user is not None, user, query, offline)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(length).decode())
        offline = form.get("access_type") == ["offline"]
        self.grant(self.form_is_valid(form), OPTIONS.user.partition(":")[0], form, offline)

    def grant(self, known, user, query, offline):
        if not self.path.startswith("/token"):
            self.reply(404, {"details": "no such page"})
        elif not known:
            self.reply(401, {"details": "incorrect username or password"})
        elif query.get("service") != [OPTIONS.service]:
            self.reply(400, {"details": "unknown service"})
        else:
            self.reply(200, answer(query.get("scope", []), user, offline))

    def basic_user(self):
        """The user's name, "" for an anonymous client, None for a wrong password."""
        header = self.headers.get("Authorization")
        if header is None:
            return ""
        expected = base64.b64encode(OPTIONS.user.encode()).decode()
        return OPTIONS.user.partition(":")[0] if header == "Basic " + expected else None

    @staticmethod
    def form_is_valid(form):
        grant = form.get("grant_type", [""])[0]
        if grant == "refresh_token":
            return form.get("refresh_token", [""])[0] in REFRESH_TOKENS
        user = ":".join(form.get(key, [""])[0] for key in ("username", "password"))
        return grant == "password" and user == OPTIONS.user

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    for name in ("issuer", "service", "user", "key", "certificate"):
        parser.add_argument("--" + name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = options()
    ThreadingHTTPServer(("127.0.0.1", OPTIONS.port), Handler).serve_forever()
