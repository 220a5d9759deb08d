"""What lies below a directory, for both checks."""

import os


def below(root):
    """Every path below `root`, relative to it, sorted by its bytes."""
    paths = []
    for directory, directories, files in os.walk(root):
        here = os.path.relpath(directory, root)
        for name in directories + files:
            paths.append(name if here == b"." else here + b"/" + name)
    return sorted(paths)
