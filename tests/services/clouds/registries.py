"""ECR, Artifact Registry and ACR by their hosts' names, in front of one real registry.

What is theirs is done here: logins, permissions, ECR's repositories that must exist. Names
decide what is allowed: below `readonly/` nobody may push, below `secret/` nobody may do
anything.
"""

import hashlib
import json
import re

import aws
import serving
from identity import ACR_AUDIENCE
from serving import state

ECR = re.compile(r"^(\d{12})\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$")
NAME = re.compile(r"^/v2/(.+?)/(blobs|manifests|tags)/(.*)$")
ACR_USER = "00000000-0000-0000-0000-000000000000"


class Handler(serving.Handler):
    def answer(self):
        host = self.headers.get("Host", "").partition(":")[0]
        found = ECR.match(host)
        if found:
            self.region = found.group(3)
            return self.ecr()
        if host.endswith("-docker.pkg.dev") or host == "gcr.io" or host.endswith(".gcr.io"):
            return self.gar(host)
        if re.search(r"\.azurecr\.(io|us|cn)$", host):
            return self.acr(host)
        return self.proxy()

    # ---- ECR: basic authentication, repositories that must exist ----------

    def ecr(self):
        if self.basic() != ("AWS", aws.password(self.region)):
            self.body()
            challenge = f'Basic realm="https://{self.headers["Host"]}/",service="ecr.amazonaws.com"'
            return self.refuse(401, "UNAUTHORIZED", "Not Authorized", [("Www-Authenticate", challenge)])
        found = NAME.match(self.route)
        if not found:
            return self.proxy()
        name, kind, rest = found.groups()
        action = self.ecr_action(kind, rest)
        arn = aws.repository_arn(self.region, name)
        state.record(cloud="aws", action=action, resource=arn, region=self.region)
        if self.is_denied(name):
            self.body()
            said = f"User: arn:aws:iam::{aws.ACCOUNT}:user/launch is not authorized to perform: {action} on resource: {arn}"
            return self.refuse(403, "DENIED", said)
        if not aws.ecr(self.region, "DescribeRepositories", {"repositoryNames": [name]}):
            self.body()
            said = f"The repository with name '{name}' does not exist in the registry with id '{aws.ACCOUNT}'"
            return self.refuse(404, "NAME_UNKNOWN", said)
        if kind == "manifests" and self.command == "PUT":
            return self.ecr_manifest(name, rest)
        return self.proxy()

    def ecr_action(self, kind, rest):
        """What each request needs ("Amazon ECR actions": the API of the proxy's operations)."""
        reading = self.command in ("GET", "HEAD")
        if kind == "manifests":
            return "ecr:BatchGetImage" if reading else "ecr:PutImage"
        if not rest.startswith("uploads"):
            return "ecr:BatchCheckLayerAvailability" if self.command == "HEAD" else "ecr:GetDownloadUrlForLayer"
        return {
            "POST": "ecr:InitiateLayerUpload",
            "PATCH": "ecr:UploadLayerPart",
            "PUT": "ecr:CompleteLayerUpload",
        }.get(self.command, "ecr:UploadLayerPart")

    def ecr_manifest(self, name, reference):
        """The real registry judges the manifest; ECR's API knows of it from then on."""
        data = self.body()
        status, headers, body = self.forward(state.backend, data=data)
        if status == 201:
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            image = {"repositoryName": name, "imageManifest": data.decode(), "imageDigest": digest}
            image["imageManifestMediaType"] = self.headers.get("Content-Type")
            # Moto deletes an image when its last tag goes elsewhere, ECR keeps it.
            tags = ["kept-" + digest[7:]] + ([] if reference.startswith("sha256:") else [reference])
            for tag in tags:
                aws.ecr(self.region, "PutImage", image | {"imageTag": tag})
        self.raw(status, body, headers)

    # ---- Artifact Registry: a token service that knows Google's tokens -----

    def gar(self, host):
        if self.route == "/v2/token":
            user, password = self.basic() or ("", "")
            claims = state.check(password, "google") if user == "oauth2accesstoken" else None
            if claims is None:
                return self.refuse(401, "UNAUTHENTICATED", "Unauthenticated request.")
            return self.grant("gar", claims["life"])
        challenge = f'Bearer realm="https://{host}/v2/token",service="{host}"'
        if not self.is_granted("gar", challenge):
            return None
        found = NAME.match(self.route)
        if found and self.is_denied(found.group(1)):
            self.body()
            verb = "downloadArtifacts" if self.command in ("GET", "HEAD") else "uploadArtifacts"
            project, repository = (found.group(1) + "/x").split("/")[:2]
            resource = f"projects/{project}/locations/us-central1/repositories/{repository}"
            said = f'Permission "artifactregistry.repositories.{verb}" denied on resource "{resource}" (or it may not exist)'
            return self.refuse(403, "DENIED", said)
        return self.proxy()

    # ---- ACR: Entra's token for a refresh token, that for access tokens ----

    def acr(self, host):
        if self.route == "/oauth2/exchange":
            form = self.form()
            claims = state.check(form.get("access_token", ""), "entra")
            good = claims and claims["aud"] == ACR_AUDIENCE and form.get("service") == host
            if not good or form.get("grant_type") != "access_token":
                return self.refuse(401, "UNAUTHORIZED", f"authentication required: {form.get('access_token')}")
            return self.json(200, {"refresh_token": state.issue("acr-refresh", claims["life"], aud=host)})
        if self.route == "/oauth2/token":
            return self.acr_token(host)
        challenge = f'Bearer realm="https://{host}/oauth2/token",service="{host}"'
        if not self.is_granted("acr", challenge):
            return None
        found = NAME.match(self.route)
        if found and self.is_denied(found.group(1)):
            self.body()
            return self.refuse(403, "DENIED", "requested access to the resource is denied")
        return self.proxy()

    def acr_token(self, host):
        if self.command == "POST":
            form = self.form()
            token, self.query = form.get("refresh_token", ""), {"scope": [form.get("scope", "")]}
        else:
            user, token = self.basic() or ("", "")
            token = token if user == ACR_USER else ""
        claims = state.check(token, "acr-refresh")
        if not claims or claims["aud"] != host:
            return self.refuse(401, "UNAUTHORIZED", "authentication required")
        return self.grant("acr", claims["life"], "access_token")

    # ---- what they share ---------------------------------------------------

    def is_denied(self, name):
        parts = name.split("/")
        return "secret" in parts or ("readonly" in parts and self.command not in ("GET", "HEAD"))

    def grant(self, kind, life, field="token"):
        scopes = " ".join(self.query.get("scope", [])).split()
        token = state.issue(kind, life, scopes=scopes)
        self.json(200, {field: token, "expires_in": life})

    def is_granted(self, kind, challenge):
        """Whether the request has a token for what it does; else it is told where to get one."""
        claims = state.check(self.bearer() or "", kind)
        found = NAME.match(self.route)
        if claims is not None and found is None:
            return True
        wanted = "pull" if self.command in ("GET", "HEAD") else "push"
        if claims is not None:
            for scope in claims["scopes"]:
                _, _, rest = scope.partition(":")
                name, _, actions = rest.rpartition(":")
                if name == found.group(1) and wanted in actions.split(","):
                    return True
        self.body()
        if found:
            challenge += f',scope="repository:{found.group(1)}:pull,push"'
        self.refuse(401, "UNAUTHORIZED", "authentication required", [("Www-Authenticate", challenge)])
        return False

    def refuse(self, status, code, message, headers=()):
        self.json(status, {"errors": [{"code": code, "message": message, "detail": None}]}, headers)

    def proxy(self):
        status, headers, body = self.forward(state.backend)
        self.raw(status, body, headers)
