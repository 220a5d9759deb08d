"""Git over smart http: `git http-backend` behind the standard library's server.

Repositories below `private/` want the one user's basic auth; all are read-only.
"""

import argparse
import base64
import os
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/private/") and not self.is_authorised():
            self.challenge()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        backend = subprocess.run(
            ["git", "http-backend"], input=body, stdout=subprocess.PIPE, env=self.cgi(path), check=False
        )
        self.forward(backend.stdout)

    def is_authorised(self):
        expected = base64.b64encode(OPTIONS.user.encode()).decode()
        return self.headers.get("Authorization") == "Basic " + expected

    def challenge(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="launch-test"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def cgi(self, path):
        """The CGI variables http-backend reads (RFC 3875, git-http-backend(1))."""
        return {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": OPTIONS.root,
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": urlsplit(self.path).query,
            "REQUEST_METHOD": self.command,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }

    def forward(self, output):
        head, _, body = output.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]) if output else 500)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = options()
    server = ThreadingHTTPServer(("127.0.0.1", OPTIONS.port), Handler)
    if OPTIONS.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(OPTIONS.certificate, OPTIONS.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
