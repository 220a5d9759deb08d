"""Writes an OCI layout with a large image: layout.py DIRECTORY LAYERS MEBIBYTES.

Two images, really: `v1` with all the layers, and `base` with the first half of them. Layers
are gzip over a tar with one file of random bytes each, as incompressible as wheels and
weights are; so a layer has the size it is given, compressed or not.
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def put(blobs: Path, data: bytes, kind: str) -> dict:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def layer(blobs: Path, number: int, size: int) -> tuple[dict, str]:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo(f"layer-{number}")
        member.size = size
        archive.addfile(member, io.BytesIO(os.urandom(size)))
    plain = tar.getvalue()
    packed = gzip.compress(plain, compresslevel=1, mtime=0)
    return put(blobs, packed, LAYER), f"sha256:{hashlib.sha256(plain).hexdigest()}"


def image(blobs: Path, layers: list[tuple[dict, str]], tag: str) -> dict:
    rootfs = {"type": "layers", "diff_ids": [diff for _, diff in layers]}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(blobs, json.dumps(config).encode(), CONFIG),
        "layers": [descriptor for descriptor, _ in layers],
    }
    entry = put(blobs, json.dumps(manifest).encode(), MANIFEST)
    return entry | {"annotations": {"org.opencontainers.image.ref.name": tag}}


def main(directory: str, count: str, mebibytes: str) -> None:
    layout = Path(directory)
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = [layer(blobs, number, int(mebibytes) << 20) for number in range(int(count))]
    images = [image(blobs, layers, "v1"), image(blobs, layers[: int(count) // 2], "base")]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": images}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


if __name__ == "__main__":
    main(*sys.argv[1:])
