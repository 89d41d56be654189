"""What this machine is, and whether an engine can be built here: writes preflight.json.

L4T and JetPack, TensorRT, GPU, free memory and disk, power mode.
Exit codes: 0 ok, 4 TensorRT or CUDA is missing, 5 too little disk or memory, 1 anything else.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info < (3, 8):  # noqa: UP036 - this file alone is Python 3.6, so that JetPack 4 gets an answer
    sys.stderr.write(
        f"error: Python {platform.python_version()} is too old for this kit, which needs 3.8 and TensorRT 8.5; "
        "next: JetPack 5.1 or later, or python -m convert RUN --target onnx\n"
    )
    sys.exit(4)

import trt_common as common


def says(*command: str) -> "str | None":
    """What a command prints, None if it is not there or fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def board() -> "str | None":
    """The board's name in its device tree."""
    try:
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").rstrip("\0")
    except OSError:
        return None


def power_mode() -> "str | None":
    """For instance `15W`; None where there is no nvpmodel."""
    found = re.search(r"Power Mode:\s*(\S+)", says("nvpmodel", "-q") or "")
    return found.group(1) if found else None


def free_memory() -> "int | None":
    """Bytes that programs can still have; on a Jetson the GPU shares them."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else None


def gigabytes(size: "int | None") -> str:
    """For the screen."""
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def find_cuda(kit: "dict[str, Any]") -> "common.Cuda | None":
    """CUDA; None where there is none and the kit's TensorRT-RTX builds without.

    Raises:
        Trouble: there is none and the kit needs it.
    """
    try:
        return common.Cuda()
    except common.Trouble:
        if kit["rtx"]:
            return None
        raise


def require_space(kit: "dict[str, Any]", disk: int, memory: "int | None") -> None:
    """Refuse to begin what will not fit.

    Raises:
        Trouble: less free than kit.json says a build needs.
    """
    for what, free, needed in (("disk", disk, kit["needs"]["disk"]), ("memory", memory, kit["needs"]["memory"])):
        if free is not None and free < needed:
            told = f"{free / 1e6:.0f} MB of {what} free, {needed / 1e6:.0f} MB needed"
            raise common.Trouble(common.NO_SPACE, told, f"free {what}, then the same command")


def main() -> int:
    """Gather, write, judge."""
    out = common.out_folder(__doc__ or "")
    kit = common.read_kit()
    out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {
        "key": kit["key"],
        "ok": False,
        "trouble": None,
        "board": board(),
        "l4t": common.l4t(),
        "jetpack": says("dpkg-query", "-W", "-f", "${Version}", "nvidia-jetpack"),
        "libnvinfer": says("dpkg-query", "-W", "-f", "${Version}", "libnvinfer-bin"),
        "python": platform.python_version(),
        "numpy": common.np.__version__,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "power_mode": power_mode(),
        "memory_free": free_memory(),
        "disk_free": shutil.disk_usage(str(out)).free,
        "gpu_memory_free": None,
        "device": None,
    }
    try:
        trt = common.import_tensorrt(bool(kit["rtx"]))
        cuda = find_cuda(kit)
        facts["device"] = common.device_facts(trt, cuda)
        if cuda is not None:
            facts["gpu_memory_free"] = cuda.memory()[0]
        require_space(kit, facts["disk_free"], facts["memory_free"])
    except common.Trouble as trouble:
        facts["trouble"] = {"code": trouble.code, "what": trouble.what, "next": trouble.hint}
        common.write_json(out / "preflight.json", facts)
        raise
    facts["ok"] = True
    common.write_json(out / "preflight.json", facts)
    device = facts["device"]
    print(
        "preflight: {}, compute capability {}, {}, CUDA {}, L4T {}, JetPack {}, power mode {}; "
        "{} memory and {} disk free; ok".format(
            device["gpu"] or "no GPU",
            device["compute_capability"],
            device["tensorrt"],
            device["cuda"],
            facts["l4t"],
            facts["jetpack"],
            facts["power_mode"],
            gigabytes(facts["memory_free"]),
            gigabytes(facts["disk_free"]),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(common.exit_with(main))
