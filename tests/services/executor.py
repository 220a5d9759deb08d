"""A stand-in for kaniko's executor, for clusters that cannot pull the real one.

It takes the executor's arguments, reads its context from S3 or a volume, runs a
Dockerfile of one stage step by step in a root of its own, caches layers beside the
image, pushes to a registry with the logins of `/kaniko/.docker/config.json`, and
writes the digest file. What it does not know it refuses.
"""

import base64
import fnmatch
import hashlib
import http.client
import io
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile
import urllib.parse
import zlib

ROOT, CONTEXT = "/kaniko/root", "/kaniko/buildcontext"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ACCEPTED = ", ".join([MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"])
FLAGS = {"cache", "no-push", "reproducible", "insecure", "cleanup"}
IGNORED = {"snapshot-mode", "compressed-caching", "verbosity", "custom-platform", "label"}


def info(text):
    print(f"INFO {text}", file=sys.stderr, flush=True)


def fail(text):
    print(f"error building image: {text}", file=sys.stderr, flush=True)
    sys.exit(1)


def arguments(words):
    found, words = {}, list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            fail(f"unknown argument {word!r}")
        name, sign, value = word[2:].partition("=")
        if not sign:
            value = "true" if name in FLAGS or not words else words.pop(0)
        found.setdefault(name, []).append(value)
    known = FLAGS | IGNORED | {"context", "dockerfile", "destination", "cache-repo", "digest-file", "build-arg"}
    for name in found:
        if name not in known:
            fail(f"unknown flag: --{name}")
    return found


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# ---- the context -------------------------------------------------------------


def fetch_context(address):
    if address.startswith("tar://"):
        with open(address.removeprefix("tar://"), "rb") as archive:
            return archive.read()
    if not address.startswith("s3://"):
        fail(f"unknown context {address!r}")
    endpoint = urllib.parse.urlsplit(os.environ.get("S3_ENDPOINT") or os.environ["AWS_ENDPOINT_URL"])
    scope = f"{os.environ['AWS_ACCESS_KEY_ID']}/20260101/{os.environ['AWS_REGION']}/s3/aws4_request"
    signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"
    path = "/" + urllib.parse.quote(address.removeprefix("s3://"))
    connection = http.client.HTTPConnection(endpoint.netloc, timeout=60)
    connection.request("GET", path, headers={"Authorization": signature})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        fail(f"context {address}: {answer.status} {data[:200]!r}")
    return data


def unpack_context(address):
    info(f"Getting context from {address}")
    data = fetch_context(address)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        archive.extractall(CONTEXT)


def ignore_rules():
    path = f"{CONTEXT}/.dockerignore"
    if not os.path.exists(path):
        return []
    with open(path) as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]


def is_ignored(name, rules):
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!").strip("/")
        parts = name.split("/")
        prefixes = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        if any(fnmatch.fnmatch(prefix, pattern) for prefix in prefixes):
            ignored = not rule.startswith("!")
    return ignored


# ---- the registry ------------------------------------------------------------


class Repository:
    def __init__(self, name):
        self.name = name
        self.host, self.path = name.split("/", 1)
        local = re.match(r"(localhost|127\.[0-9.]+)(:|$)", self.host)
        self.connect = http.client.HTTPConnection if local else http.client.HTTPSConnection
        self.headers = {}
        login = self.login()
        if login:
            self.headers["Authorization"] = f"Basic {login}"

    def login(self):
        path = os.path.join(os.environ.get("DOCKER_CONFIG", "/kaniko/.docker"), "config.json")
        if not os.path.exists(path):
            return None
        with open(path) as file:
            auths = json.load(file).get("auths", {})
        found = auths.get(self.name) or auths.get(self.host) or {}
        return found.get("auth")

    def ask(self, method, path, body=None, **headers):
        connection = self.connect(self.host, timeout=120)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers={**self.headers, **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def manifest(self, reference):
        status, _, data = self.ask("GET", f"/v2/{self.path}/manifests/{reference}", Accept=ACCEPTED)
        return json.loads(data) if status == 200 else None

    def blob(self, digest):
        status, _, data = self.ask("GET", f"/v2/{self.path}/blobs/{digest}")
        if status != 200 or digest_of(data) != digest:
            fail(f"{self.name} has no blob {digest}")
        return data

    def put_blob(self, data):
        digest = digest_of(data)
        status, _, _ = self.ask("HEAD", f"/v2/{self.path}/blobs/{digest}")
        if status == 200:
            return digest
        status, headers, body = self.ask("POST", f"/v2/{self.path}/blobs/uploads/")
        if status != 202:
            fail(f"pushing to {self.name}: {status} {body[:200]!r}")
        place = urllib.parse.urlsplit(headers["Location"])
        query = place.query + ("&" if place.query else "") + urllib.parse.urlencode({"digest": digest})
        status, _, body = self.ask("PUT", f"{place.path}?{query}", data, Content_Type="application/octet-stream")
        if status != 201:
            fail(f"pushing to {self.name}: {status} {body[:200]!r}")
        return digest

    def put_manifest(self, tag, manifest):
        data = json.dumps(manifest).encode()
        status, _, body = self.ask("PUT", f"/v2/{self.path}/manifests/{tag}", data, Content_Type=MANIFEST)
        if status != 201:
            fail(f"pushing {self.name}:{tag}: {status} {body[:200]!r}")
        return digest_of(data)


def split(image):
    name, _, tag = image.rpartition(":")
    return (name, tag) if name and "/" not in tag else (image, "latest")


# ---- the file system ---------------------------------------------------------


def inside(path):
    return os.path.join(ROOT, path.lstrip("/"))


def unpack_layer(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        for member in archive:
            folder, name = os.path.split(member.name)
            if name.startswith(".wh."):
                remove(inside(os.path.join(folder, name[4:])))
                continue
            path = inside(member.name)
            if not member.isdir() and os.path.lexists(path):
                remove(path)
            archive.extract(member, ROOT, numeric_owner=True)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def snapshot():
    found = {}
    for folder, folders, files in os.walk(ROOT):
        if folder == ROOT:
            folders[:] = [name for name in folders if name not in ("dev", "proc", "sys")]
        for name in folders + files:
            path = os.path.join(folder, name)
            facts = os.lstat(path)
            link = os.readlink(path) if stat.S_ISLNK(facts.st_mode) else ""
            size, time = (0, 0) if stat.S_ISDIR(facts.st_mode) else (facts.st_size, facts.st_mtime_ns)
            found[os.path.relpath(path, ROOT)] = (facts.st_mode, facts.st_uid, facts.st_gid, size, time, link)
    return found


def layer_between(before, after):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(after):
            if before.get(name) != after[name]:
                archive.add(os.path.join(ROOT, name), name, recursive=False)
        for name in sorted(set(before) - set(after)):
            if os.path.dirname(name) in after or not os.path.dirname(name):
                folder, base = os.path.split(name)
                archive.addfile(tarfile.TarInfo(os.path.join(folder, ".wh." + base)))
    return buffer.getvalue()


# ---- the build ---------------------------------------------------------------


class Build:
    def __init__(self, options):
        self.options = options
        self.given = dict(value.split("=", 1) for value in options.get("build-arg", []) if "=" in value)
        self.values, self.env, self.config = {}, {}, {}
        self.layers, self.diffs = [], []
        self.key, self.rules = "", ignore_rules()
        repository = options.get("cache-repo", [""])[-1]
        is_cached = options.get("cache", ["false"])[-1] == "true" and repository
        self.cache = Repository(repository) if is_cached else None

    def run(self, text):
        handlers = {
            "FROM": self.base, "ARG": self.argument, "ENV": self.environment, "COPY": self.copy,
            "ADD": self.copy, "RUN": self.execute, "WORKDIR": self.work_dir, "CMD": self.command,
            "ENTRYPOINT": self.command, "USER": self.user, "LABEL": self.label, "EXPOSE": self.label,
        }
        for line in instructions(text):
            word, _, rest = line.partition(" ")
            if word.upper() not in handlers:
                fail(f"parsing dockerfile: unknown instruction: {word.upper()}")
            info(line)
            handlers[word.upper()](word.upper(), rest.strip())

    def expand(self, text):
        values = {**self.values, **self.env}
        return re.sub(r"\$\{?(\w+)\}?", lambda match: values.get(match[1], ""), text)

    def base(self, _, rest):
        name = self.expand(rest).split()[0]
        self.key = name
        os.makedirs(ROOT, exist_ok=True)
        if name != "scratch":
            self.pull(name)
        os.makedirs(inside("dev"), exist_ok=True)
        if not os.path.exists(inside("dev/null")):
            os.mknod(inside("dev/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        self.state = snapshot()

    def pull(self, image):
        name, tag = split(image)
        if "." not in name.split("/")[0] and ":" not in name.split("/")[0]:
            fail(f"retrieving image {image}: there is no registry to pull it from")
        repository = Repository(name)
        manifest = repository.manifest(tag)
        if manifest is None:
            fail(f"retrieving image {image}: MANIFEST_UNKNOWN")
        config = json.loads(repository.blob(manifest["config"]["digest"]))
        self.config = config.get("config", {})
        self.env = dict(pair.split("=", 1) for pair in self.config.get("Env") or [])
        self.key = manifest["config"]["digest"]
        for layer in manifest["layers"]:
            data = repository.blob(layer["digest"])
            unpack_layer(data)
            self.layers.append(data)
        self.diffs = list(config["rootfs"]["diff_ids"])

    def argument(self, _, rest):
        name, _, value = rest.partition("=")
        self.values[name] = self.given.get(name, self.expand(value.strip('"')))

    def environment(self, _, rest):
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self.env[name] = self.expand(value)

    def work_dir(self, _, rest):
        path = os.path.join(self.config.get("WorkingDir") or "/", self.expand(rest))
        self.config["WorkingDir"] = path
        self.step(f"WORKDIR {path}", lambda: os.makedirs(inside(path), exist_ok=True))

    def user(self, _, rest):
        self.config["User"] = rest

    def label(self, word, rest):
        if word == "LABEL":
            pairs = (pair.partition("=") for pair in shlex.split(rest))
            self.config.setdefault("Labels", {}).update({name: value for name, _, value in pairs})

    def command(self, word, rest):
        words = json.loads(rest) if rest.startswith("[") else ["/bin/sh", "-c", rest]
        self.config["Cmd" if word == "CMD" else "Entrypoint"] = words

    def copy(self, _, rest):
        words = json.loads(rest) if rest.startswith("[") else shlex.split(self.expand(rest))
        *sources, target = [word for word in words if not word.startswith("--")]
        names = [name for source in sources for name in self.matching(source)]
        contents = "".join(f"{name}\0{checksum(name)}\0" for name in names)
        self.step(f"COPY {rest}\0{contents}", lambda: self.place(sources, names, target))

    def matching(self, source):
        source = source.strip("/").removeprefix("./").rstrip(".").strip("/")
        found = []
        for folder, folders, files in os.walk(CONTEXT):
            folders.sort()
            for name in sorted(folders + files):
                path = os.path.relpath(os.path.join(folder, name), CONTEXT)
                wanted = not source or path == source or path.startswith(source + "/")
                if wanted and not is_ignored(path, self.rules):
                    found.append(path)
        if source and not found:
            fail(f"COPY failed: {source}: no such file or directory")
        return found

    def place(self, sources, names, target):
        base = os.path.join(self.config.get("WorkingDir") or "/", target)
        source = sources[0].strip("/").removeprefix("./").rstrip(".").strip("/")
        is_folder = not source or os.path.isdir(f"{CONTEXT}/{source}")
        for name in names:
            if is_folder:
                path = os.path.join(base, os.path.relpath(name, source or "."))
            elif target.endswith("/") or len(sources) > 1 or os.path.isdir(inside(base)):
                path = os.path.join(base, os.path.basename(name))
            else:
                path = base
            origin, goal = f"{CONTEXT}/{name}", inside(path)
            if os.path.isdir(origin) and not os.path.islink(origin):
                os.makedirs(goal, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(goal), exist_ok=True)
                shutil.copy2(origin, goal, follow_symlinks=False)

    def execute(self, _, rest):
        words = json.loads(rest) if rest.startswith("[") else ["/bin/sh", "-c", rest]

        def run():
            environment = {**self.values, **self.env}
            folder = self.config.get("WorkingDir") or "/"

            def enter():
                os.chroot(ROOT)
                os.chdir(folder)

            done = subprocess.run(words, env=environment, preexec_fn=enter, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                fail(f"failed to execute command: waiting for process to exit: exit status {done.returncode}")

        self.step(f"RUN {rest}\0{sorted(self.values.items())}", run)

    def step(self, text, work):
        """A layer: from the cache, or made by the step and put there."""
        self.key = hashlib.sha256(f"{self.key}\0{text}\0{sorted(self.env.items())}".encode()).hexdigest()
        cached = self.cache and self.cache.manifest(self.key)
        if cached:
            info("Using caching version of cmd")
            packed = self.cache.blob(cached["layers"][0]["digest"])
            unpack_layer(packed)
            data = zlib.decompress(packed, 31)
        else:
            work()
            data = layer_between(self.state, snapshot())
            packed = packed_layer(data)
            if self.cache:
                push(self.cache, self.key, [packed], [digest_of(data)], {})
        self.state = snapshot()
        self.layers.append(packed)
        self.diffs.append(digest_of(data))

    def finish(self):
        self.config["Env"] = [f"{name}={value}" for name, value in self.env.items()]
        if self.options.get("no-push", ["false"])[-1] == "true":
            return info("Skipping push to container registry due to --no-push flag")
        for destination in self.options["destination"]:
            name, tag = split(destination)
            digest = push(Repository(name), tag, self.layers, self.diffs, self.config)
            info(f"Pushed {name}@{digest}")
        for path in self.options.get("digest-file", []):
            with open(path, "w") as file:
                file.write(digest)


def packed_layer(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def checksum(name):
    path = f"{CONTEXT}/{name}"
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.isdir(path):
        return "folder"
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def push(repository, tag, layers, diffs, config):
    content = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": diffs}}
    data = json.dumps(content).encode()
    parts = [{"mediaType": LAYER, "digest": repository.put_blob(layer), "size": len(layer)} for layer in layers]
    part = {"mediaType": CONFIG, "digest": repository.put_blob(data), "size": len(data)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": part, "layers": parts}
    return repository.put_manifest(tag, manifest)


def instructions(text):
    joined = re.sub(r"\\\n", " ", text)
    lines = (line.strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def main():
    options = arguments(sys.argv[1:])
    for name in ("context", "dockerfile"):
        if name not in options:
            fail(f"--{name} is missing")
    unpack_context(options["context"][-1])
    with open(f"{CONTEXT}/{options['dockerfile'][-1]}") as file:
        text = file.read()
    build = Build(options)
    build.run(text)
    build.finish()


main()
