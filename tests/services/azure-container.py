"""Makes a container in azurite: azure-container.py URL NAME.

Anybody may read the blobs in it, so that tests can, without the client they test. The
account and its key are those of every emulator of Azure Storage, and no secret.
"""

import base64
import hashlib
import hmac
import sys
import urllib.request
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-08-06"


def main(url: str, name: str) -> None:
    headers = {
        "x-ms-blob-public-access": "blob",
        "x-ms-date": formatdate(usegmt=True),
        "x-ms-version": VERSION,
    }
    # Shared Key: method, eleven empty standard headers, ours, the resource, its query.
    lines = ["PUT"] + [""] * 11 + [f"{key}:{value}" for key, value in sorted(headers.items())]
    lines += [f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"]
    text = "\n".join(lines).encode()
    signature = hmac.new(base64.b64decode(KEY), text, hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"
    request = urllib.request.Request(
        f"{url}/{ACCOUNT}/{name}?restype=container", b"", headers, method="PUT"
    )
    # urllib would name a form as its content's type, which would have to be signed.
    request.add_header("Content-Type", "")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201, answer.status


if __name__ == "__main__":
    main(*sys.argv[1:])
