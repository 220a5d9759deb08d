"""AWS's API: Moto answers, and every call is written down as the IAM action it needs."""

import base64
import http.client
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

import serving
from serving import state

ACCOUNT = "123456789012"
#: Keys of these names may do nothing, may not look, or are unknown: Moto asks for neither.
NOBODY, PUSHER, STRANGER = "AKIANOBODY", "AKIAPUSHER", "AKIASTRANGER"
SCOPE = re.compile(r"Credential=([A-Z0-9]+)/\d+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


class Handler(serving.Handler):
    def answer(self):
        data = self.body()
        found = SCOPE.search(self.headers.get("Authorization", ""))
        if not found and self.command != "POST":
            # Anonymous: S3 tells everybody a bucket's region.
            return self.reply(*self.forward(state.moto, data=data))
        # A web identity needs no signature: it is one.
        key, region, service = found.groups() if found else ("", "us-east-1", "sts")
        action, resource = named(self, data, region, service)
        state.record(cloud="aws", action=action, resource=resource, region=region, key=key)
        if key == STRANGER:
            said = "The security token included in the request is invalid."
            return self.json(400, {"__type": "UnrecognizedClientException", "message": said})
        if (key == NOBODY and service != "sts") or (key == PUSHER and action == "ecr:DescribeImages"):
            said = f"User: arn:aws:iam::{ACCOUNT}:user/nobody is not authorized to perform: {action} on resource: {resource}"
            return self.json(400, {"__type": "AccessDeniedException", "message": said})
        kept = {name: self.headers[name] for name in ("Authorization", "Host") if name in self.headers}
        return self.reply(*self.forward(state.moto, data=data, headers=kept))

    def reply(self, status, headers, body):
        self.raw(status, body, headers)


def named(request, data, region, service):
    """The IAM action of a call, and the ARN it is about."""
    if service == "ecr":
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        name = json.loads(data or b"{}").get("repositoryName")
        return f"ecr:{operation}", repository_arn(region, name) if name else "*"
    if service == "sts":
        return f"sts:{parse_qs(data.decode()).get('Action', ['?'])[0]}", "*"
    if service == "s3":
        return s3(request)
    return f"{service}:?", "*"


def repository_arn(region, name):
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:ecr:{region}:{ACCOUNT}:repository/{name}"


def s3(request):
    """Amazon S3's operations and their actions ("Actions, resources, and condition keys")."""
    parts = urlsplit(request.path)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    query = parse_qs(parts.query, keep_blank_values=True)
    method = request.command
    if not key:
        return {"GET": "s3:ListBucket", "HEAD": "s3:ListBucket", "PUT": "s3:CreateBucket", "POST": "s3:DeleteObject"}.get(method, "s3:?"), arn
    if method == "DELETE":
        return "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject", f"{arn}/{key}"
    if method in ("GET", "HEAD"):
        return "s3:ListMultipartUploadParts" if "uploadId" in query else "s3:GetObject", f"{arn}/{key}"
    return "s3:PutObject", f"{arn}/{key}"


def ecr(region, operation, body):
    """A call of our own to Moto's ECR; its answer, or None if it refuses."""
    connection = http.client.HTTPConnection(state.moto, timeout=30)
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/{region}/ecr/aws4_request, SignedHeaders=host, Signature=x",
    }
    connection.request("POST", "/", json.dumps(body), headers)
    response = connection.getresponse()
    data = response.read()
    return json.loads(data) if response.status == 200 else None


def password(region):
    token = ecr(region, "GetAuthorizationToken", {})["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]
