"""Runs a command and says how long it took and how much memory it had at most.

measure.py [--daemon PID]... -- COMMAND...   prints "SECONDS MEBIBYTES"

With `--daemon`, the work is done by that process too: its peak, set back before, is added.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path


def peak(pid: str) -> int:
    """In KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    daemons, command = arguments[1:split:2], arguments[split + 1 :]
    for pid in daemons:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    began = time.monotonic()
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    seconds = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    memory += sum(peak(pid) for pid in daemons)
    print(f"{seconds:.2f} {memory / 1024:.0f}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
