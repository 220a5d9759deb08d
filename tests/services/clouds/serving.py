"""What the listeners share: requests in, answers out, tokens, and the log of calls."""

import base64
import http.client
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

#: Seconds a token lives, and one that was got with a proof called `planted-brief`.
LIFE, BRIEF = 3600, 2


class State:
    """Tokens that were given, and calls that were made."""

    def __init__(self):
        self.lock = threading.Lock()
        self.log = []
        self.tokens = {}

    def record(self, **call):
        with self.lock:
            self.log.append(call)

    def issue(self, kind, life=LIFE, **claims):
        """A token that looks like a JWT, so that its end can be read."""
        claims |= {"exp": int(time.time()) + life, "life": life, "jti": secrets.token_hex(12)}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        token = f"planted-{kind}.{body}.signature"
        with self.lock:
            self.tokens[token] = (kind, time.time() + life, claims)
        return token

    def check(self, token, kind):
        """The claims of a token of this kind that is good, else None."""
        found = self.tokens.get(token)
        if found is None or found[0] != kind or found[1] < time.time():
            return None
        return found[2]


state = State()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, handler, tls=None):
        self.tls = tls
        super().__init__(("127.0.0.1", port), handler)

    def finish_request(self, request, client_address):
        # The handshake is the client's own thread's business.
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024

    def dispatch(self):
        parts = urlsplit(self.path)
        self.route, self.query = parts.path, parse_qs(parts.query)
        self.answer()
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = dispatch

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self.chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def chunks(self):
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def form(self):
        return {key: values[0] for key, values in parse_qs(self.body().decode()).items()}

    def basic(self):
        """User and password of the request."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user, password

    def bearer(self):
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        return value if kind.lower() == "bearer" else None

    def json(self, status, body, headers=()):
        self.raw(status, json.dumps(body).encode(), [("Content-Type", "application/json"), *headers])

    def raw(self, status, data, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def forward(self, address, path=None, data=None, headers=None):
        """The answer of another server to this request: status, headers, body."""
        connection = http.client.HTTPConnection(address, timeout=120)
        own = {"host", "connection", "transfer-encoding", "content-length", "authorization"}
        names = {name for name in self.headers if name.lower() not in own}
        # `Accept` comes once for each kind.
        kept = {name: ", ".join(self.headers.get_all(name)) for name in names}
        data = self.body() if data is None else data
        kept["Content-Length"] = str(len(data))
        connection.request(self.command, path or self.path, data, kept | (headers or {}))
        response = connection.getresponse()
        body = response.read()
        dropped = {"connection", "transfer-encoding", "date", "server"}
        headers = [(k, v) for k, v in response.getheaders() if k.lower() not in dropped]
        if self.command != "HEAD":
            headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
        return response.status, headers, body

    def log_message(self, format, *args):
        # Queries may carry what a test looks for in logs.
        pass
