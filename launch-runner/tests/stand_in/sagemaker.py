"""SageMaker and CloudWatch Logs, as far as a runner of training jobs needs them.

Written from the public API references (SageMaker 2017-07-24, CloudWatch Logs 2014-03-28,
STS 2011-06-15). Training jobs are programs of this machine; they pass the documented
states, refuse a second job of a name, and can be stopped. Signatures are checked.
"""

import argparse
import hashlib
import hmac
import json
import re
import threading
import time

from programs import Faults, Handler, Program, serve

ACCOUNT = "123456789012"
GROUP = "/aws/sagemaker/TrainingJobs"
PAGE_BYTES, PAGE_EVENTS = 1 << 20, 10_000
options = argparse.ArgumentParser()
options.add_argument("--throttle", type=int, default=0, help="every which request is refused")
options.add_argument("--grace", type=float, default=2, help="seconds a stopped job has")
options.add_argument("--start", type=float, default=0.2, help="seconds until a job runs")
options.add_argument("--secret", default="stand-in-secret")
options = options.parse_args()
LOCK = threading.RLock()
JOBS, STREAMS = {}, {}


class Refusal(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.status = code, status


def validation(message):
    return Refusal("ValidationException", message)


class Job:
    def __init__(self, request):
        self.request, self.name = request, request["TrainingJobName"]
        self.arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/{self.name.lower()}"
        self.tags = list(request.get("Tags", []))
        self.status, self.secondary, self.reason = "InProgress", "Starting", None
        self.stopping = threading.Event()
        self.why, self.program = "Stopped", None
        threading.Thread(target=self.run, daemon=True).start()

    def move(self, status, secondary, reason=None):
        with LOCK:
            self.status, self.secondary, self.reason = status, secondary, reason

    def run(self):
        if self.stopping.wait(options.start):
            return self.move("Stopped", self.why)
        algorithm = self.request["AlgorithmSpecification"]
        argv = algorithm.get("ContainerEntrypoint", []) + algorithm.get("ContainerArguments", [])
        stream = f"{self.name}/algo-1-{int(time.time())}"
        with LOCK:
            STREAMS[stream] = []
        try:
            self.program = Program(argv, self.request.get("Environment", {}))
        except OSError as error:
            STREAMS[stream].append(str(error))
            return self.move("Failed", "Failed", "AlgorithmError: , exit code: 127")
        threading.Thread(target=self.watch_time, daemon=True).start()
        if not self.stopping.is_set():
            self.move("InProgress", "Training")
        # The log driver drops what is empty.
        code = self.program.run(lambda line: line and STREAMS[stream].append(line))
        if self.stopping.is_set():
            return self.move("Stopped", self.why)
        if code == 0:
            return self.move("Completed", "Completed")
        return self.move("Failed", "Failed", f"AlgorithmError: , exit code: {code}")

    def watch_time(self):
        if not self.stopping.wait(self.request["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)):
            self.stop("MaxRuntimeExceeded")
        elif self.program:
            self.program.end(options.grace)

    def stop(self, why="Stopped"):
        with LOCK:
            if self.status not in ("InProgress", "Stopping"):
                raise validation(f"The request was rejected because the training job is in status {self.status}.")
            if self.status == "InProgress":
                self.why = why
                self.move("Stopping", "Stopping" if why == "Stopped" else why)
                self.stopping.set()
        if why != "Stopped" and self.program:
            self.program.end(options.grace)

    def describe(self):
        told = {
            "TrainingJobName": self.name, "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status, "SecondaryStatus": self.secondary,
        }
        return {**told, "FailureReason": self.reason} if self.reason else told


def found(name):
    if name not in JOBS:
        raise validation("Requested resource not found.")
    return JOBS[name]


def by_arn(arn):
    for job in JOBS.values():
        if job.arn == arn:
            return job
    raise validation("Requested resource not found.")


def create(request):
    for key in ("TrainingJobName", "AlgorithmSpecification", "OutputDataConfig", "ResourceConfig",
                "RoleArn", "StoppingCondition"):
        if not request.get(key):
            raise validation(f"1 validation error detected: Value at '{key}' failed to satisfy constraint: Member must not be null")
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", request["TrainingJobName"]):
        raise validation("Value at 'trainingJobName' failed to satisfy constraint")
    if not re.fullmatch(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+", request["RoleArn"]):
        raise validation("Value at 'roleArn' failed to satisfy constraint")
    if request["AlgorithmSpecification"].get("TrainingInputMode") not in ("File", "Pipe", "FastFile"):
        raise validation("Value at 'algorithmSpecification.trainingInputMode' failed to satisfy constraint")
    for name, value in request.get("Environment", {}).items():
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}", name) or not isinstance(value, str):
            raise validation("Value at 'environment' failed to satisfy constraint")
    with LOCK:
        if request["TrainingJobName"] in JOBS:
            raise Refusal("ResourceInUse", "Training job names must be unique within an AWS account and region, and a training job with this name already exists")
        job = JOBS[request["TrainingJobName"]] = Job(request)
    return {"TrainingJobArn": job.arn}


def search(request):
    wanted = {f["Name"].removeprefix("Tags."): f["Value"] for f in request["SearchExpression"]["Filters"]}
    start, size = int(request.get("NextToken", 0)), 3
    hits = [job for job in JOBS.values()
            if all({"Key": key, "Value": value} in job.tags for key, value in wanted.items())]
    results = [{"TrainingJob": {**job.describe(), "Tags": job.tags}} for job in hits[start:start + size]]
    more = {"NextToken": str(start + size)} if start + size < len(hits) else {}
    return {"Results": results, **more}


def delete_tags(request):
    job = by_arn(request["ResourceArn"])
    job.tags = [tag for tag in job.tags if tag["Key"] not in request["TagKeys"]]
    return {}


def stop(request):
    found(request["TrainingJobName"]).stop()
    return {}


def streams(request):
    if not STREAMS or request["logGroupName"] != GROUP:
        raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
    names = sorted(name for name in STREAMS if name.startswith(request["logStreamNamePrefix"]))
    return {"logStreams": [{"logStreamName": name} for name in names]}


def events(request):
    lines = STREAMS.get(request["logStreamName"])
    if lines is None:
        raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
    at, size, page = int(request.get("nextToken", "f/0")[2:]), 0, []
    for line in lines[at:at + PAGE_EVENTS]:
        size += len(line) + 26
        if page and size > PAGE_BYTES:
            break
        page.append({"timestamp": 0, "message": line})
    return {"events": page, "nextForwardToken": f"f/{at + len(page)}"}


ACTIONS = {
    "SageMaker.CreateTrainingJob": create,
    "SageMaker.DescribeTrainingJob": lambda request: found(request["TrainingJobName"]).describe(),
    "SageMaker.StopTrainingJob": stop,
    "SageMaker.ListTrainingJobs": lambda _: {"TrainingJobSummaries": []},
    "SageMaker.ListTags": lambda request: {"Tags": by_arn(request["ResourceArn"]).tags},
    "SageMaker.DeleteTags": delete_tags,
    "SageMaker.Search": search,
    "Logs_20140328.DescribeLogStreams": streams,
    "Logs_20140328.GetLogEvents": events,
}
IDENTITY = f"""<GetCallerIdentityResponse><GetCallerIdentityResult>
<Arn>arn:aws:iam::{ACCOUNT}:user/agent</Arn><UserId>U</UserId><Account>{ACCOUNT}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


def check_signature(handler, body):
    """Signature Version 4, by the AWS reference; an access key `old…` has expired."""
    given = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), SignedHeaders=([^,]+), Signature=(\w+)",
                         handler.headers.get("authorization", ""))
    if not given:
        raise Refusal("MissingAuthenticationToken", "no signature", 403)
    key, scope, names, signature = given.groups()
    if key.startswith("old"):
        raise Refusal("ExpiredTokenException", "The security token included in the request is expired")
    headers = "".join(f"{name}:{handler.headers[name].strip()}\n" for name in names.split(";"))
    canonical = "\n".join(["POST", handler.path, "", headers, names, hashlib.sha256(body).hexdigest()])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", handler.headers["x-amz-date"], scope, digest])
    secret = ("AWS4" + options.secret).encode()
    for part in scope.split("/"):
        secret = hmac.new(secret, part.encode(), "sha256").digest()
    if hmac.new(secret, text.encode(), "sha256").hexdigest() != signature:
        raise Refusal("InvalidSignatureException", "The request signature we calculated does not match", 403)


class SageMaker(Handler):
    faults = Faults(options.throttle)

    def action(self):
        return self.headers.get("x-amz-target", "GetCallerIdentity")

    def throttled(self):
        return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}

    def answer(self, action, body):
        try:
            check_signature(self, body)
            if action == "GetCallerIdentity":
                return 200, IDENTITY.encode(), "text/xml"
            if action not in ACTIONS:
                raise Refusal("UnknownOperationException", action)
            return 200, ACTIONS[action](json.loads(body))
        except Refusal as refusal:
            return refusal.status, {"__type": f"com.amazonaws#{refusal.code}", "message": str(refusal)}


serve(SageMaker)
