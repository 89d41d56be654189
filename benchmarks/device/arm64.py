"""`python -m benchmarks.device.arm64 FOLDER`: Python, numpy and LiteRT for a 64-bit ARM device that has none of them.

Debian's arm64 Python with the C library it was linked to, and the aarch64 wheels of the versions installed here,
started by its own loader: nothing is installed on the device and nothing of its system is used but the kernel. The same
folder runs in qemu-user, which is how the tests prove the answers on ARM64. **Not run on a phone.**
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import MissingDependency, exit_with
from acwskd_edge.files import new_folder

EXAMPLES = """
python -m benchmarks.device.arm64 build/arm64
python -m benchmarks.device runs/demo --device adb --runtime build/arm64
"""
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgomp1", "libatomic1")
WHEELS = ("numpy", "ai-edge-litert")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
LIBRARIES = ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu")  # of Debian
LOADER = "ld-linux-aarch64.so.1"
UNUSED = ("libLiteRtWebGpuAccelerator.so", "**/tests", "**/test", "lib2to3", "idlelib", "ensurepip")
LAUNCHER = f"""#!/system/bin/sh
here=${{0%/*}}
export PYTHONHOME="$here" PYTHONPATH="$here/site" PYTHONDONTWRITEBYTECODE=1
exec "$here/lib/{LOADER}" --library-path "$here/lib" "$here/bin/python3.11" "$@"
"""


def digest() -> str:
    """Of all that decides what `build` makes, for a cache."""
    wanted = [*PACKAGES, *(f"{name}=={version(name)}" for name in WHEELS), *UNUSED, LAUNCHER]
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:12]


def command(folder: Path | str) -> list[str]:
    """What `LAUNCHER` runs, for a shell that lies elsewhere; PYTHONHOME and PYTHONPATH are the caller's."""
    return [f"{folder}/lib/{LOADER}", "--library-path", f"{folder}/lib", f"{folder}/bin/python3.11"]


def build(folder: Path) -> Path:
    """Fill a folder, in one step; about 100 MB.

    Raises:
        MissingDependency: no apt or no package registry here, or they have no such package.
    """
    with new_folder(folder) as work, tempfile.TemporaryDirectory() as name:
        debian, wheels = fetch_debian(), fetch_wheels(Path(name))
        for place in LIBRARIES:
            for one in (debian / place).glob("*.so*"):
                (work / "lib").mkdir(exist_ok=True)
                if one.exists() and not (work / "lib" / one.name).exists():
                    shutil.copyfile(one, work / "lib" / one.name)
        shutil.copytree(debian / "usr/lib/python3.11", work / "lib/python3.11", ignore_dangling_symlinks=True)
        (work / "bin").mkdir()
        shutil.copyfile(debian / "usr/bin/python3.11", work / "bin/python3.11")
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as content:
                content.extractall(work / "site")
        for pattern in UNUSED:
            for one in [*(work / "site").rglob(pattern), *(work / "lib/python3.11").glob(pattern)]:
                if one.is_dir():
                    shutil.rmtree(one)
                elif one.exists():
                    one.unlink()
        (work / "python").write_text(LAUNCHER, encoding="utf-8")
        for one in (work / "python", work / "bin/python3.11", work / "lib" / LOADER):
            one.chmod(0o755)
    return folder


def fetch_debian() -> Path:
    """Debian's packages, unpacked in the cache of .ci/debian.py.

    Raises:
        MissingDependency: why not.
    """
    script = Path(__file__).parents[2] / ".ci/debian.py"
    words = ["bookworm", *PACKAGES, "--arch", "arm64", "--with-dependencies"]
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingDependency(f"Debian's arm64 Python cannot be had ({done.stderr.strip().removeprefix('error: ')})")
    return Path(done.stdout.strip())


def fetch_wheels(folder: Path) -> list[Path]:
    """The aarch64 wheels of what is installed here.

    Raises:
        MissingDependency: pip finds none.
    """
    words = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]
    for platform in PLATFORMS:
        words += ["--platform", platform]
    wanted = [f"{name}=={version(name)}" for name in WHEELS]
    pip = [sys.executable, "-m", "pip", "download", *words, "--dest", str(folder), *wanted]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        last = re.sub(r"\S+://\S+", "the registry", (done.stderr.strip().splitlines() or ["no message"])[-1])
        raise MissingDependency(f"no aarch64 wheels of {', '.join(wanted)} ({last})")
    return sorted(folder.glob("*.whl"))


def main() -> int:
    """Build, print the next command."""
    parser = Parser("python -m benchmarks.device.arm64", __doc__ or "", EXAMPLES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="made, or made anew")
    folder = build(parser.parse_args().folder)
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    print(f"{folder}: {size / 1e6:.0f} MB; next: python -m benchmarks.device RUN --device adb --runtime {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
