"""Metadata servers and token services of three clouds, on plain http."""

import json
import os
import subprocess
import tempfile
import base64
from urllib.parse import unquote

import serving
from serving import LIFE, state

GOOGLE = "/computeMetadata/v1"
EMAIL = "launch@launch-test.iam.gserviceaccount.com"
AZURE_CLIENT = "11111111-2222-3333-4444-555555555555"
AZURE_SECRET = "planted-entra-secret"
ACR_AUDIENCE = "https://containerregistry.azure.net"
AWS_TOKEN = "planted-imds-token"
#: Proofs that are accepted, for a token that no registry accepts.
STRANGER = "planted-stranger"


class Handler(serving.Handler):
    def answer(self):
        kind = self.route.split("/")[1]
        handlers = {
            "control": self.control,
            "computeMetadata": self.google_metadata,
            "google": self.google,
            "entra": self.entra,
            "metadata": self.azure_instance,
            "msi": self.azure_app_service,
            "latest": self.aws_instance,
            "container": self.aws_container,
        }
        handler = handlers.get(kind) or (self.entra if self.route.endswith("/oauth2/v2.0/token") else None)
        return handler() if handler else self.json(404, {"error": "no such page"})

    # ---- for tests -------------------------------------------------------

    def control(self):
        return self.json(200, state.log)

    # ---- Google ----------------------------------------------------------

    def google_metadata(self):
        if self.headers.get("Metadata-Flavor") != "Google":
            return self.json(403, {"error": "the header is missing"})
        account = f"{GOOGLE}/instance/service-accounts/default"
        if self.route == f"{account}/token":
            token = state.issue("google", email=EMAIL)
            return self.json(200, {"access_token": token, "expires_in": LIFE, "token_type": "Bearer"})
        texts = {f"{account}/email": EMAIL, f"{GOOGLE}/project/project-id": "launch-test"}
        text = texts.get(self.route)
        return self.raw(200 if text else 404, (text or "none").encode(), [("Metadata-Flavor", "Google")])

    def google(self):
        if self.route == "/google/subject":
            return self.json(200, {"id_token": state.issue("subject")} if self.headers.get("X-Test") == "planted-header" else {})
        if self.route.startswith("/google/iam/"):
            return self.google_impersonation()
        form = self.form()
        grant = form.get("grant_type", "")
        good = {
            "urn:ietf:params:oauth:grant-type:jwt-bearer": self.google_assertion,
            "refresh_token": self.google_refresh,
            "urn:ietf:params:oauth:grant-type:token-exchange": self.google_subject,
        }.get(grant, lambda form: False)(form)
        if not good:
            # It repeats what it was sent: nobody may print it.
            sent = form.get("refresh_token") or form.get("subject_token") or form.get("assertion")
            return self.json(400, {"error": "invalid_grant", "error_description": f"not good: {sent}"})
        proof = form.get("refresh_token")
        life = serving.BRIEF if proof == "planted-brief" else LIFE
        token = STRANGER if proof == STRANGER else state.issue("google", life, email=EMAIL)
        return self.json(200, {"access_token": token, "expires_in": life, "token_type": "Bearer"})

    def google_assertion(self, form):
        claims = verified(form.get("assertion", ""), os.path.join(state.files, "service-account.pub"), "RS256")
        return claims and claims["iss"] == EMAIL and "cloud-platform" in claims["scope"]

    @staticmethod
    def google_refresh(form):
        known = (form.get("client_id"), form.get("client_secret")) == ("launch-client", "planted-client-secret")
        return known and form.get("refresh_token") in ("planted-refresh", "planted-brief", STRANGER)

    @staticmethod
    def google_subject(form):
        token = form.get("subject_token", "")
        if token.startswith("%7B"):
            return vouched(json.loads(unquote(token)))
        return token == "planted-subject-file" or state.check(token, "subject") is not None

    def google_impersonation(self):
        body = json.loads(self.body())
        if state.check(self.bearer(), "google") is None or not body.get("scope"):
            return self.json(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no"}})
        email = unquote(self.route.rpartition("/")[2].partition(":")[0])
        token = state.issue("google", email=email)
        return self.json(200, {"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"})

    # ---- Azure -----------------------------------------------------------

    def entra(self):
        form = self.form()
        assertion = form.get("client_assertion", "")
        good = form.get("client_id") == AZURE_CLIENT and (
            form.get("client_secret") in (AZURE_SECRET, "planted-brief", STRANGER)
            or assertion == "planted-federated"
            or verified(assertion, os.path.join(state.files, "azure.pub"), "PS256")
        )
        if not good:
            sent = form.get("client_secret") or assertion
            said = f"AADSTS7000215: Invalid client secret provided: {sent}\r\nTrace ID: 1"
            return self.json(401, {"error": "invalid_client", "error_description": said})
        if form.get("client_secret") == STRANGER:
            return self.json(200, {"access_token": STRANGER, "expires_in": 3600})
        life = serving.BRIEF if form.get("client_secret") == "planted-brief" else LIFE
        return self.azure_token(form.get("scope", "").removesuffix("/.default"), life)

    def azure_instance(self):
        if self.headers.get("Metadata") != "true":
            return self.json(400, {"error": "invalid_request"})
        return self.azure_token(self.query["resource"][0])

    def azure_app_service(self):
        if self.headers.get("X-Identity-Header") != "planted-identity-header":
            return self.json(401, {"error": "unauthorized"})
        return self.azure_token(self.query["resource"][0])

    def azure_token(self, audience, life=LIFE):
        token = state.issue("entra", life, aud=audience, appid=AZURE_CLIENT, tid="launch-tenant")
        return self.json(200, {"access_token": token, "expires_in": str(life), "token_type": "Bearer"})

    # ---- AWS -------------------------------------------------------------

    def aws_instance(self):
        if self.route == "/latest/api/token" and self.command == "PUT":
            return self.raw(200, AWS_TOKEN.encode(), [("x-aws-ec2-metadata-token-ttl-seconds", "21600")])
        if self.headers.get("x-aws-ec2-metadata-token") != AWS_TOKEN:
            return self.raw(401, b"")
        credentials = "/latest/meta-data/iam/security-credentials"
        if self.route == "/latest/meta-data/placement/region":
            return self.raw(200, b"eu-central-1")
        if self.route.rstrip("/") == credentials:
            return self.raw(200, b"launch-role")
        if self.route == f"{credentials}/launch-role":
            return self.json(200, {"Code": "Success"} | aws_keys("INSTANCE"))
        return self.raw(404, b"")

    def aws_container(self):
        if self.headers.get("Authorization") != "planted-container-token":
            return self.json(403, {"code": "denied", "message": "no"})
        return self.json(200, aws_keys("CONTAINER"))


def vouched(request):
    """Whether a signed call of GetCallerIdentity is one, and by a key that AWS knows."""
    headers = {header["key"].lower(): header["value"] for header in request["headers"]}
    signature = headers.get("authorization", "")
    return (
        request["url"] == "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        and request["method"] == "POST"
        and headers["host"] == "sts.eu-west-1.amazonaws.com"
        and "workloadIdentityPools" in headers["x-goog-cloud-target-resource"]
        and "x-goog-cloud-target-resource" in signature
        and "Credential=AKIALAUNCH/" in signature
        and "/eu-west-1/sts/aws4_request" in signature
    )


def aws_keys(name):
    return {
        "AccessKeyId": f"ASIA{name}",
        "SecretAccessKey": "planted-aws-secret",
        "Token": "planted-aws-session",
        "Expiration": "2099-01-01T00:00:00Z",
        "Type": "AWS-HMAC",
        "LastUpdated": "2026-01-01T00:00:00Z",
    }


def verified(token, key, algorithm):
    """The claims of a JWT that is signed with the private half of `key`, else None."""
    text, _, signature = token.rpartition(".")
    pad = lambda part: base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    try:
        header, claims = (json.loads(pad(part)) for part in text.split("."))
    except ValueError:
        return None
    with tempfile.NamedTemporaryFile() as file:
        file.write(pad(signature))
        file.flush()
        command = ["openssl", "dgst", "-sha256", "-verify", key, "-signature", file.name]
        if algorithm == "PS256":
            command[3:3] = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
        checked = subprocess.run(command, input=text.encode(), capture_output=True)
    return claims if checked.returncode == 0 and header["alg"] == algorithm else None
