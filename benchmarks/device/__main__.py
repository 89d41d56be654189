"""`python -m benchmarks.device BUNDLE --device WHERE`: golden vectors, cold start, memory and latency on a device."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import tempfile
from pathlib import Path

from acwskd_edge.bench import options
from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

EXAMPLES = """
python -m benchmarks.device runs/demo --device local
python -m benchmarks.device runs/demo --device ssh:pi@raspberrypi --python '~/venv/bin/python' --threads 4
python -m benchmarks.device runs/demo --device adb --benchmark-model android_aarch64_benchmark_model
python -m benchmarks.device.arm64 build/arm64
python -m benchmarks.device runs/demo --device adb:R58M123ABC --runtime build/arm64
"""
DEVICES = "local, ssh:user@host, adb, adb:SERIAL"


def main() -> int:
    """Parse, then import what is heavy."""
    parser = Parser("python -m benchmarks.device", __doc__ or "", EXAMPLES)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    parser.add_argument("--device", default="local", metavar="WHERE", help=f"{DEVICES} (local)")
    options.add(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="the document (RUN/devices/WHERE.json)")
    ssh = parser.add_argument_group("ssh")
    ssh.add_argument("--python", metavar="PATH", help="interpreter there that has numpy and a runtime (python3)")
    ssh.add_argument("--ssh-option", action="append", default=[], metavar="NAME=VALUE", help="as ssh -o takes it")
    ssh.add_argument("--clean-device", action="store_true", help="leave nothing there")
    adb = parser.add_argument_group("adb", "one of:")
    adb.add_argument("--benchmark-model", type=Path, metavar="FILE", help="LiteRT's benchmark_model for the phone")
    adb.add_argument("--runtime", type=Path, metavar="FOLDER", help="made by python -m benchmarks.device.arm64")
    adb.add_argument(
        "--benchmark-flag", action="append", default=[], metavar="--NAME=VALUE", help="for benchmark_model; repeatable"
    )
    args = parser.parse_args()
    options.check(args)
    kind, _, where = args.device.partition(":")
    if kind not in ("local", "ssh", "adb") or (kind == "local" and where) or (kind == "ssh" and not where):
        raise UsageError(f"--device {args.device}", allowed=DEVICES)
    check_kind(args, kind)
    options.limit_threads(args.threads)
    return run(args, kind, where)


def check_kind(args: argparse.Namespace, kind: str) -> None:
    """Refuse options of another kind of device."""
    for name, owner in (
        ("python", "ssh"),
        ("ssh_option", "ssh"),
        ("clean_device", "ssh"),
        ("benchmark_model", "adb"),
        ("runtime", "adb"),
        ("benchmark_flag", "adb"),
    ):
        if getattr(args, name) and kind != owner:
            raise UsageError(f"--{name.replace('_', '-')} with --device {args.device}", allowed=f"--device {owner}:...")


def run(args: argparse.Namespace, kind: str, where: str) -> int:
    """Measure, print, and say where the document lies; exit code 3 if the device answers wrong."""
    from acwskd_edge.bench.document import Document, failed, load
    from acwskd_edge.bench.measure import Settings
    from acwskd_edge.bench.table import table
    from acwskd_edge.bundle import open_bundle
    from acwskd_edge.files import only_writer, write_json
    from benchmarks.device.places import measure_at

    bundle = open_bundle(args.bundle)
    out = args.json or default_file(args.bundle, bundle.root, args.device)
    settings = Settings(args.runs, args.threads, tuple(args.artefact))
    for one in settings.artefacts:
        bundle.find(one)
    found = load(out)
    shown: list[Document] = [] if found is None else [found]

    def take(document: Document) -> None:
        document["device"]["kind"] = kind
        document["command"] = f"python -m benchmarks.device {shlex.join(sys.argv[1:])}"
        write_json(out, document)
        shown[:] = [document]

    with only_writer(out.parent), tempfile.TemporaryDirectory() as work:
        measure_at(kind, where, bundle, settings, args, Path(work), take, None if args.again else found)
    print(table(shown[0]))
    print(out)
    return 3 if failed(shown[0]) else 0


def default_file(given: Path, root: Path, device: str) -> Path:
    """RUN/devices/WHERE.json; beside a bare bundle, because a file inside would break its seal."""
    label = re.sub(r"[^A-Za-z0-9.-]+", "-", device).strip("-.")
    inside = given.resolve() == root.resolve()
    folder = root.with_name(f"{root.resolve().name}-devices") if inside else given / "devices"
    return folder / f"{label}.json"


if __name__ == "__main__":
    sys.exit(exit_with(main))
