"""A build kit that is none: the real one's files, exit codes and json, without TensorRT; to test the way to a device.

Its scripts write what they did to `~/done` on the device and are steered by files in the device's home:
    no-tensorrt, no-space, gate-fails, killed   the stage that meets it ends as the real one does
    hold                                        build.py waits until it is gone
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

COMMON = '''
"""What the stand-in's scripts share."""
import hashlib, json, os, signal, sys, time
from pathlib import Path

HERE, HOME = Path(__file__).parent, Path.home()
KEY = json.loads((HERE / "kit.json").read_text())["key"]
ENGINE = "model.engine"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def told(name):
    return (HOME / name).exists()


def finished(stage):
    path = HERE / (stage + ".json")
    if path.exists() and json.loads(path.read_text())["key"] == KEY:
        print(stage, "is finished", flush=True)
        return True
    return False


def did(what):
    with (HOME / "done").open("a") as out:
        out.write(what + "\\n")


def write(stage, **facts):
    (HERE / (stage + ".part")).write_text(json.dumps({"key": KEY, **facts}))
    (HERE / (stage + ".part")).replace(HERE / (stage + ".json"))


def stop(code, line):
    print("error: " + line, file=sys.stderr)
    sys.exit(code)
'''
SCRIPTS = {
    "preflight.py": """
from trt_common import *
print("L4T 36.4.3 (stand-in), power mode 15W \\x1b[31m", flush=True)
if told("no-tensorrt"):
    stop(4, "TensorRT cannot be imported; next: sudo apt-get install python3-libnvinfer-dev")
if told("no-space"):
    stop(5, "3 MB are free, 500 MB are needed; next: free space")
did("preflight")
write("preflight", l4t="36.4.3")
""",
    "build.py": """
from trt_common import *
for name, wanted in json.loads((HERE / "kit.json").read_text())["files"].items():
    assert sha256(HERE / name) == wanted, name
if not finished("build"):
    print("step 1 of 2", flush=True)
    did("build begins")
    if told("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    while told("hold"):
        time.sleep(0.05)
    print("step 2 of 2", flush=True)
    (HERE / ENGINE).write_bytes(b"engine" * 1000)
    fingerprint = {"engine_sha256": sha256(HERE / ENGINE)}
    (HERE / (ENGINE + ".json")).write_text(json.dumps(fingerprint))
    did("build")
    write("build", engine=ENGINE, fingerprint=fingerprint, seconds=1.0)
""",
    "run.py": """
from trt_common import *
passed = not told("gate-fails")
did("run")
write("run", verdict="passed" if passed else "rejected", reasons=[] if passed else ["class liver 0.9 -> 0.1"])
if not passed:
    stop(3, "class liver 0.9000 -> 0.1000; next: --precision fp32")
""",
    "time_engine.py": """
from trt_common import *
did("time")
write("time_engine", median_ms=1.25)
""",
}
FILES = {"model.onnx": b"onnx" * 1000, "contract.json": b"{}", "golden/a b;$(touch x)'\"/image.npy": b"1"}


def write_kit(folder: Path, **files: bytes) -> Path:
    """The kit in a folder, with some of its scripts replaced."""
    scripts = {name: files.get(name[:-3], text.encode()) for name, text in SCRIPTS.items()}
    files = {"trt_common.py": COMMON.encode(), **scripts, **FILES}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (folder / "kit.json").write_text(json.dumps({"schema": 1, "key": "ab" * 32, "files": hashes}))
    return folder
