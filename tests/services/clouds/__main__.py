"""Stand-ins for what the clouds' registry adapters talk to, for tests.

Three listeners on loopback, standard library only:

* the registries (TLS): ECR, Artifact Registry and ACR, told apart by `Host` as in the
  cloud, each with its own login, in front of one real registry that keeps the content;
* the identities: metadata servers and token services of AWS, Google and Azure;
* AWS's API: Moto, with every call written down as the IAM action it needs.

`GET /control/log` at the identities lists the calls of AWS so far.
"""

import argparse
import ssl
import threading

import aws
import identity
import registries
from serving import Server, state


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("registries", "identity", "aws"):
        parser.add_argument(f"--{name}-port", type=int, required=True)
    for name in ("backend", "moto", "certificate", "key", "files"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def main():
    given = options()
    state.backend, state.moto, state.files = given.backend, given.moto, given.files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(given.certificate, given.key)
    servers = [
        Server(given.identity_port, identity.Handler),
        Server(given.aws_port, aws.Handler),
        Server(given.registries_port, registries.Handler, context),
    ]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
