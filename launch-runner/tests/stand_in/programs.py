"""What both stand-ins share: programs that really run, faults on demand, and HTTP."""

import json
import os
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Program:
    """A program in a process group of its own, with nothing but the environment it is given."""

    def __init__(self, argv, env):
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **env}
        self.process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )

    def run(self, on_line):
        """Hands on every line; returns the exit code as a shell tells it."""
        reader = threading.Thread(target=self._read, args=(on_line,))
        reader.start()
        code = self.process.wait()
        # With its first process a container ends, whatever holds the output open.
        self._signal(signal.SIGKILL)
        reader.join()
        return 128 - code if code < 0 else code

    def _read(self, on_line):
        for line in self.process.stdout:
            on_line(line.decode("utf-8", "replace").removesuffix("\n"))

    def end(self, grace):
        """Asks, waits, forces."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


class Faults:
    """What `POST /_control` asks for: `{"down": seconds}`, `{"lose": action}`."""

    def __init__(self, throttle):
        self.lock = threading.Lock()
        self.until = 0.0
        self.lost = []
        self.throttle = throttle
        self.requests = 0
        self.counts = {}

    def control(self, wanted):
        with self.lock:
            if "down" in wanted:
                self.until = time.monotonic() + wanted["down"]
            if "lose" in wanted:
                self.lost.append(wanted["lose"])
            return {"requests": self.requests, "counts": self.counts}

    def is_down(self):
        return time.monotonic() < self.until

    def is_throttled(self, action):
        with self.lock:
            self.requests += 1
            self.counts[action] = self.counts.get(action, 0) + 1
            # Google's library keeps a token that was refused as a failure, for seconds.
            return action != "token" and self.throttle > 0 and self.requests % self.throttle == 0

    def is_lost(self, action):
        with self.lock:
            if action in self.lost:
                self.lost.remove(action)
                return True
            return False


class Handler(BaseHTTPRequestHandler):
    """One request; `answer` gives a status and a value."""

    protocol_version = "HTTP/1.1"
    faults = None

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def reply(self, status, value, kind="application/json"):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self):
        body = self.body()
        if self.path == "/_control":
            return self.reply(200, self.faults.control(json.loads(body)))
        if self.faults.is_down():
            self.close_connection = True
            return None
        action = self.action()
        if self.faults.is_throttled(action):
            return self.reply(*self.throttled())
        answer = self.answer(action, body)
        if self.faults.is_lost(action):
            self.close_connection = True
            return None
        return self.reply(*answer)

    do_POST = do_GET = do_DELETE = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is what tests are about."""


def serve(handler):
    """Listens on a free port of this machine, and says which."""
    server = Server(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()
