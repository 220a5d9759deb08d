"""A second implementation of the archive's format, to check the first with.

    archive.py DIRECTORY

Prints the SHA-256 of the plain tar archive of DIRECTORY, and the lengths of the pieces that
are compressed each by itself, as JSON.
"""

import hashlib
import json
import os
import stat
import sys
import zlib

sys.dont_write_bytecode = True
from paths import below  # noqa: E402

BLOCK = 512
MODIFIED = 315_619_200  # 1980-01-02
LARGEST = 0o77777777777
KIB, MIB = 1 << 10, 1 << 20


def octal(number, width):
    return b"%0*o\0" % (width - 1, number)


def padding(size):
    return bytes(-size % BLOCK)


def block(kind, mode, name, size=0, target=b"", prefix=b""):
    fields = [name.ljust(100, b"\0"), octal(mode, 8), octal(0, 8), octal(0, 8)]
    fields += [octal(size if size <= LARGEST else 0, 12), octal(MODIFIED, 12), b" " * 8, kind]
    fields += [target[:100].ljust(100, b"\0"), b"ustar\x0000", bytes(64), octal(0, 8), octal(0, 8)]
    fields += [prefix.ljust(155, b"\0"), bytes(12)]
    header = b"".join(fields)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def record(key, value):
    rest = len(key) + len(value) + 3
    length = rest
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def place(path):
    """The fields `prefix` and `name`, or nothing."""
    if len(path) <= 100:
        return b"", path
    slash = path.find(b"/", len(path) - 101, len(path) - 1)
    return (path[:slash], path[slash + 1 :]) if 1 <= slash <= 155 else None


def is_text(name):
    try:
        name.decode()
        return True
    except UnicodeDecodeError:
        return False


def header(kind, mode, path, size=0, target=b""):
    fields = place(path)
    records = b"" if fields else record(b"path", path)
    if len(target) > 100:
        records += record(b"linkpath", target)
    if size > LARGEST:
        records += record(b"size", b"%d" % size)
    if records and not (is_text(path) and is_text(target)):
        records = record(b"hdrcharset", b"BINARY") + records
    extended = b""
    if records:
        extended = block(b"x", 0o644, b"././@PaxHeader", len(records)) + records
        extended += padding(len(records))
    prefix, name = fields or (b"", path[-100:])
    return extended + block(kind, mode, name, size, target, prefix)


def entry(root, path):
    """The header of an entry, and its content."""
    full = os.path.join(root, path)
    status = os.lstat(full)
    if stat.S_ISLNK(status.st_mode):
        return header(b"2", 0o777, path, target=os.readlink(full)), b""
    if stat.S_ISDIR(status.st_mode):
        return header(b"5", 0o755, path + b"/"), b""
    with open(full, "rb") as file:
        content = file.read()
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return header(b"0", mode, path, len(content)), content


def pieces(root, paths):
    run, counted = b"", 0
    for path in paths:
        head, content = entry(root, path)
        size = BLOCK + len(content) + len(padding(len(content)))
        is_large = len(content) > MIB
        full = counted + size > 1536 * KIB or zlib.crc32(path) % 16 == 0
        if run and (is_large or (counted >= 512 * KIB and full)):
            yield run
            run, counted = b"", 0
        if is_large:
            parts = [content[at : at + MIB] for at in range(0, len(content), MIB)]
            parts[0], parts[-1] = head + parts[0], parts[-1] + padding(len(content))
            yield from parts
        else:
            run, counted = run + head + content + padding(len(content)), counted + size
    if run:
        yield run
    yield bytes(2 * BLOCK)


def main(root):
    root = os.fsencode(root)
    made = list(pieces(root, below(root)))
    tar = hashlib.sha256(b"".join(made)).hexdigest()
    print(json.dumps({"tar": f"sha256:{tar}", "pieces": [len(piece) for piece in made]}))


main(sys.argv[1])
