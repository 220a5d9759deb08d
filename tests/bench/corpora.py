#!/usr/bin/env python3
"""Makes the trees the context engine is measured on, the same bytes on every machine.

    corpora.py DIR [small] [many] [big]

small   three Python projects, as a job's repository is           562 files,  12 MB
many    ten large ones, as a monorepo is                       51,457 files, 571 MB
big     weights and tables beside the code                         20 files,   3 GB

The projects are source distributions from the package index pip is configured with, checked
against their SHA-256. Half of `big` is a cipher's key stream, which nothing makes smaller, the
other half tables and lines of JSON. A tree that is there is left as it is.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

PROJECTS = {
    "small": [
        ("timm", "1.0.12", "9da490683bd06302ec40e1892f1ccf87985f033e41f3580887d886b9aee9449a"),
        ("peft", "0.13.2", "0e0cbd40ebdf5fe4ea79f255880d02f96712d18899509369a2cc5768ad46d672"),
        ("accelerate", "1.1.1", "0d39dfac557052bc735eb2703a0e87742879e1e40b88af8a2f9a93233d4cd7db"),
    ],
    "many": [
        ("django", "5.1.3", "c0fa0e619c39325a169208caef234f90baa925227032ad3f44842ba14d75234a"),
        ("sympy", "1.13.3", "b27fd2c6530e0ab39e275fc9b683895367e51d5da91baa8d3d64db2565fec4d9"),
        ("scipy", "1.14.1", "5a275584e726026a5699459aa72f828a610821006228e841b94275c4a7c08417"),
        ("numpy", "2.1.3", "aa08e04e08aaf974d4458def539dece0d28146d866a39da5639596f4921fd761"),
        ("pandas", "2.2.3", "4f18ba62b61d7e192368b84517265a99b4d7ee8912f8708660fb4a366cc82667"),
        ("transformers", "4.46.3", "8ee4b3ae943fe33e82afff8e837f4b052058b07ca9be3cb5b729ed31295f72cc"),
        ("jupyterlab", "4.3.1", "a4a338327556443521731d82f2a6ccf926df478914ca029616621704d47c3c65"),
        ("scikit-learn", "1.5.2", "b4237ed7b3fdd0a4882792e68ef2545d5baa50aca3bb45aa7df468138ad8f94d"),
        ("plotly", "5.24.1", "dbc8ac8339d248a4bcc36e08a5659bacfe1b079390b8953533f4eb22169b4bae"),
        ("wandb", "0.18.7", "00f9891558d4833ee47f21ce6c603499f0bd1a7ce117ff55ee1a041e9094f9a2"),
    ],
}

IGNORE = "**/__pycache__\n**/*.pyc\n.git\n*.log\n!keep.log\n"
MODIFIED = 1_700_000_000
MB = 1_000_000


def download(cache, name, version, digest):
    """The source distribution, checked."""
    file = cache / f"{name.replace('-', '_')}-{version}.tar.gz"
    is_whole = lambda: file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == digest
    if not is_whole():
        # `pip download` builds metadata, and with it the world; the index says where the file is.
        subprocess.run(
            [sys.executable, "-c", FETCH, name, digest, str(file)], check=True, timeout=900
        )
    if not is_whole():
        sys.exit(f"{file} is not {name} {version}")
    return file


FETCH = """
import json, subprocess, sys, urllib.parse, urllib.request
name, digest, target = sys.argv[1:]
said = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"],
                      capture_output=True, text=True).stdout.strip()
index = (said or "https://pypi.org/simple").rstrip("/") + f"/{name}/"
asked = urllib.request.Request(index, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
files = json.load(urllib.request.urlopen(asked, timeout=120))["files"]
url = next(file["url"] for file in files if file["hashes"].get("sha256") == digest)
urllib.request.urlretrieve(urllib.parse.urljoin(index, url), target)
"""


def unpack(archive, to):
    """Without the directory at the top; files and links alone."""
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts[1:]
            if not parts or ".." in parts or not (member.isfile() or member.issym() or member.isdir()):
                continue
            member.name = str(Path(*parts))
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            tar.extract(member, to, filter="fully_trusted")


def make_projects(tree, cache, projects):
    for project in projects:
        unpack(download(cache, *project), tree / project[0])
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tree / ".dockerignore").write_text(IGNORE)


def make_weights(directory):
    directory.mkdir(parents=True)
    sizes = [500, 400, 200, 150, 100, 50, 40, 30, 20, 10]
    for number, size in enumerate(sizes, 1):
        file = directory / f"model-{number:05}-of-{len(sizes):05}.bin"
        command = f"head -c {size * MB} /dev/zero | openssl enc -aes-128-ctr -nosalt -K {number:032x} -iv {0:032x}"
        with file.open("wb") as out:
            subprocess.run(["sh", "-c", command], stdout=out, check=True)


def make_lines(file, size, line):
    left = size
    with file.open("wb") as out:
        while left > 0:
            text = "".join(line() for _ in range(5000)).encode()[:left]
            out.write(text)
            left -= len(text)


def make_tables(directory):
    directory.mkdir(parents=True)
    for number, size in enumerate([400, 200, 100, 40, 10]):
        dice, row = random.Random(number), iter(range(1 << 40))
        split = ["train", "valid", "test"]
        make_lines(
            directory / f"table-{number:02}.csv",
            size * MB,
            lambda: f"{next(row)},{split[dice.getrandbits(8) % 3]},u{dice.getrandbits(19):06},"
            f"{dice.random():.6f},{dice.random() * 100 - 50:.4f},{dice.random() * 1000:.3f},{dice.getrandbits(1)}\n",
        )


def make_texts(directory):
    for number, size in enumerate([350, 200, 100, 70, 30]):
        dice = random.Random(100 + number)
        letter = lambda: "etaoinshrdlcumwfgypbvk"[int(dice.random() ** 2 * 22)]
        words = ["".join(letter() for _ in range(2 + dice.getrandbits(3))) for _ in range(30_000)]
        word = lambda: words[int(dice.random() ** 3 * len(words))]
        row = iter(range(1 << 40))
        make_lines(
            directory / f"corpus-{number:02}.jsonl",
            size * MB,
            lambda: f'{{"id": {next(row)}, "text": "{" ".join(word() for _ in range(20 + dice.getrandbits(6)))}",'
            f' "score": {dice.random():.4f}}}\n',
        )


def finish(tree):
    """The same times everywhere."""
    for directory, _, files in os.walk(tree, topdown=False):
        for name in [*files, "."]:
            os.utime(Path(directory, name), (MODIFIED, MODIFIED), follow_symlinks=False)


def make(where, name):
    tree = where / name
    if tree.exists():
        return
    scratch = where / f"{name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    if name == "big":
        make_weights(scratch / "weights")
        make_tables(scratch / "data")
        make_texts(scratch / "data")
    else:
        cache = where / "downloads"
        cache.mkdir(exist_ok=True)
        make_projects(scratch, cache, PROJECTS[name])
    finish(scratch)
    scratch.rename(tree)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[2:] or ["small", "many", "big"]:
        make(Path(sys.argv[1]), name)


if __name__ == "__main__":
    main()
