"""A second implementation of the context recipe, to check the first with.

    recipe.py DIRECTORY [RULE ...] [-- LEFT_OUT ...]

Prints the digest of DIRECTORY under the rules given, which are not interpreted: what
they leave out is named after `--`. Names are percent-encoded. `recipe.py --all` reads
directories to hash, one a line, from its input.
"""

import hashlib
import os
import stat
import sys
from urllib.parse import unquote_to_bytes

sys.dont_write_bytecode = True
from paths import below  # noqa: E402


def sha256(data):
    return hashlib.sha256(data).hexdigest().encode()


def record(root, path):
    status = os.lstat(os.path.join(root, path))
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(os.path.join(root, path))
        fields = [b"l", b"0777", b"%d" % len(target), sha256(target)]
    elif stat.S_ISDIR(status.st_mode):
        fields = [b"d", b"0755", b"0", b"-"]
    else:
        with open(os.path.join(root, path), "rb") as file:
            content = file.read()
        mode = b"0755" if status.st_mode & stat.S_IXUSR else b"0644"
        fields = [b"f", mode, b"%d" % len(content), sha256(content)]
    return b" ".join([*fields, path]) + b"\0"


def digest(root, rules=(), left_out=()):
    root = os.fsencode(root)
    left_out = set(left_out)
    kept = [path for path in below(root) if path not in left_out]
    effective = b"".join(rule + b"\n" for rule in [b"**/.git", *rules])
    header = b"launch-context 1\nrules " + sha256(effective) + b"\n"
    return "sha256:" + sha256(header + b"".join(record(root, p) for p in kept)).decode()


def main(arguments):
    if arguments == ["--all"]:
        for line in sys.stdin:
            print(digest(line.rstrip("\n")))
        return
    split = arguments.index("--") if "--" in arguments else len(arguments)
    rules = [unquote_to_bytes(rule) for rule in arguments[1:split]]
    left_out = [unquote_to_bytes(path) for path in arguments[split + 1 :]]
    print(digest(arguments[0], rules, left_out))


main(sys.argv[1:])
