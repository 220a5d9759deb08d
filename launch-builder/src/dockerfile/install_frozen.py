import json, re, subprocess, sys, tempfile
# A frozen list was complete where it was made, so nothing is resolved anew. What cannot be
# installed here is named on one line, for the builder to warn of; the rest is installed.
name, given = sys.argv[-1], sys.argv[1:-1]
base = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable] + given
options, packages, torch = [], [], []
for line in open(name, encoding="utf-8-sig"):
    line = re.sub(r"(^|\s)#.*", "", line).strip()
    if line.startswith("-") and not re.match(r"(-e|--editable)\b", line):
        options.append(line)
    elif re.match(r"(torch|torchvision|torchaudio)\s*==", line):
        torch.append(line)
    elif line:
        # A development version of wandb is on no index.
        packages.append(re.sub(r"^wandb==.*dev.*", "wandb", line))
done, failed = [], []
def install(lines, *extra):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=".", encoding="utf-8") as part:
        part.write("\n".join(options + lines) + "\n")
        part.flush()
        return subprocess.call(base + list(extra) + ["-r", part.name]) == 0
def each(lines, *extra):
    # When so many fail and none does not, it is not the packages.
    if len(failed) >= 8 and not done:
        failed.extend(lines)
    elif lines and install(lines, *extra):
        done.extend(lines)
    elif len(lines) > 1:
        half = len(lines) // 2
        each(lines[:half], *extra)
        each(lines[half:], *extra)
    else:
        failed.extend(lines)
each(packages, "--no-deps")
# torch's own index has the builds for one accelerator: `+cu121` names it.
def build(line):
    return (re.findall(r"\+(\w+)", line) or [""])[0]
for suffix in sorted(set(map(build, torch))):
    index = ["--extra-index-url", "https://download.pytorch.org/whl/" + suffix]
    each([line for line in torch if build(line) == suffix], *(index if suffix else []))
if failed:
    print("launch-failed-packages: " + json.dumps(failed), flush=True)
    if not done:
        sys.exit("none of the packages in " + name + " can be installed")
