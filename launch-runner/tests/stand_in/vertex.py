"""Vertex AI's custom jobs and Cloud Logging's entries, as far as a runner needs them.

Written from the public REST references (aiplatform v1 `projects.locations.customJobs`, logging
v2 `entries.list`). Custom jobs are programs of this machine; the service names them itself,
takes the same request twice, and passes the documented states. Tokens are those it gave out.
"""

import argparse
import json
import re
import threading
import time
from datetime import datetime, timezone
from itertools import count
from urllib.parse import parse_qs, urlsplit

from programs import Faults, Handler, Program, serve

options = argparse.ArgumentParser()
options.add_argument("--throttle", type=int, default=0, help="every which request is refused")
options.add_argument("--grace", type=float, default=2, help="seconds a cancelled job has")
options.add_argument("--start", type=float, default=0.4, help="seconds until a job runs")
options.add_argument("--token", type=float, default=3600, help="seconds a token is good for")
options = options.parse_args()
LOCK = threading.RLock()
IDS, TOKENS, JOBS = count(4242), {}, {}
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
JOB_SPEC = {"workerPoolSpecs", "baseOutputDirectory", "serviceAccount", "network", "tensorboard",
            "persistentResourceId", "enableWebAccess", "scheduling", "experiment", "experimentRun"}


class Refusal(Exception):
    def __init__(self, status, word, message):
        super().__init__(message)
        self.status, self.word = status, word


def invalid(message):
    return Refusal(400, "INVALID_ARGUMENT", message)


def now():
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Job:
    def __init__(self, parent, body):
        with LOCK:
            self.id = str(next(IDS))
            self.body, self.name, self.created = body, f"{parent}/customJobs/{self.id}", now()
            JOBS[self.name] = self
        self.state, self.error, self.entries = "JOB_STATE_PENDING", None, []
        self.cancelled, self.program = threading.Event(), None
        threading.Thread(target=self.run, daemon=True).start()

    def move(self, state, error=None):
        with LOCK:
            self.state, self.error = f"JOB_STATE_{state}", error

    def write(self, line):
        time_ = now()
        # Vertex AI wraps lines now and then.
        payload = {"textPayload": line} if len(self.entries) % 2 else {"jsonPayload": {"message": line}}
        self.entries.append({
            "insertId": f"{self.id}-{len(self.entries):09}", "timestamp": time_, "receiveTimestamp": time_, **payload,
        })

    def run(self):
        if self.cancelled.wait(options.start):
            return self.move("CANCELLED")
        container = self.body["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
        env = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
        try:
            self.program = Program(container.get("command", []) + container.get("args", []), env)
        except OSError as error:
            self.write(str(error))
            return self.fail(127)
        threading.Thread(target=self.end, daemon=True).start()
        if not self.cancelled.is_set():
            self.move("RUNNING")
        code = self.program.run(self.write)
        if self.cancelled.is_set():
            return self.move("CANCELLED")
        return self.move("SUCCEEDED") if code == 0 else self.fail(code)

    def fail(self, code):
        self.move("FAILED", {"code": 3, "message": f"The replica workerpool0-0 exited with a non-zero status of {code}. To find out more about why your job exited please check the logs."})

    def end(self):
        self.cancelled.wait()
        self.program.end(options.grace)

    def cancel(self):
        with LOCK:
            if self.state in ENDED:
                raise Refusal(400, "FAILED_PRECONDITION", f"CustomJob is in state {self.state}")
            self.move("CANCELLING")
            self.cancelled.set()

    def told(self):
        told = {**self.body, "name": self.name, "state": self.state, "createTime": self.created}
        return {**told, "error": self.error} if self.error else told


def create(parent, body):
    if not body.get("displayName") or not body.get("jobSpec", {}).get("workerPoolSpecs"):
        raise invalid("displayName and jobSpec.workerPoolSpecs are required")
    for key in body["jobSpec"].keys() - JOB_SPEC:
        raise invalid(f"Invalid JSON payload received. Unknown name \"{key}\" at 'custom_job.job_spec'")
    for key, value in body.get("labels", {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise invalid(f"label {key}={value}")
    for pool in body["jobSpec"]["workerPoolSpecs"]:
        if not isinstance(pool.get("replicaCount", "1"), str) or not pool["containerSpec"].get("imageUri"):
            raise invalid("workerPoolSpecs")
    return Job(parent, body).told()


def listed(parent, query):
    wanted = re.fullmatch(r'labels\.([a-z-]+)="([^"]*)"', query.get("filter", [""])[0])
    with LOCK:
        jobs = [job for job in JOBS.values() if job.name.startswith(parent + "/")
                and (not wanted or job.body.get("labels", {}).get(wanted[1]) == wanted[2])]
    start, size = int(query.get("pageToken", ["0"])[0] or 0), 3
    more = {"nextPageToken": str(start + size)} if start + size < len(jobs) else {}
    return {"customJobs": [job.told() for job in jobs[start:start + size]], **more}


def delete(name):
    with LOCK:
        if JOBS[name].state not in ENDED:
            raise Refusal(400, "FAILED_PRECONDITION", "CustomJob has not ended")
        del JOBS[name]
    return {"name": f"{name}/operations/1", "done": True}


def entries(query):
    parts = re.fullmatch(r'resource\.type="ml_job" AND resource\.labels\.job_id="(\d+)"(?: AND receiveTimestamp>="([^"]+)")?', query["filter"])
    if not parts or query["orderBy"] != "timestamp asc":
        raise invalid(f"filter {query['filter']}")
    found = [job.entries for job in JOBS.values() if job.id == parts[1]]
    found = found[0] if found else []
    token = query.get("pageToken")
    start = int(token) if token else 0
    if not token and parts[2]:
        # Received in order here, so that the first fitting one is found by halving.
        low, high = 0, len(found)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if found[middle]["receiveTimestamp"] < parts[2] else (low, middle)
        start = low
    end = start + query.get("pageSize", 50)
    more = {"nextPageToken": str(end)} if end < len(found) else {}
    return {"entries": found[start:end], **more}


class Vertex(Handler):
    faults = Faults(options.throttle)

    def action(self):
        path = urlsplit(self.path).path
        if path == "/token":
            return "token"
        if path == "/v2/entries:list":
            return "entries"
        if path.endswith(":cancel"):
            return "cancel"
        return {"POST": "create", "DELETE": "delete"}.get(self.command, "list" if path.endswith("customJobs") else "get")

    def throttled(self):
        return 429, {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}

    def answer(self, action, body):
        try:
            if action == "token":
                with LOCK:
                    token = f"token-{len(TOKENS)}"
                    TOKENS[token] = time.monotonic() + options.token
                return 200, {"access_token": token, "token_type": "Bearer", "expires_in": int(options.token)}
            given = self.headers.get("authorization", "").removeprefix("Bearer ")
            if TOKENS.get(given, 0) < time.monotonic():
                raise Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
            return 200, self.asked(action, json.loads(body or b"{}"))
        except Refusal as refusal:
            return refusal.status, {"error": {"code": refusal.status, "message": str(refusal), "status": refusal.word}}

    def asked(self, action, body):
        url = urlsplit(self.path)
        name = url.path.removeprefix("/v1/")
        if action == "create":
            return create(name.removesuffix("/customJobs"), body)
        if action == "list":
            return listed(name.removesuffix("/customJobs"), parse_qs(url.query))
        if action == "entries":
            return entries(body)
        name = name.removesuffix(":cancel")
        if name not in JOBS:
            raise Refusal(404, "NOT_FOUND", f"{name} is not found.")
        if action == "cancel":
            JOBS[name].cancel()
            return {}
        return delete(name) if action == "delete" else JOBS[name].told()


serve(Vertex)
