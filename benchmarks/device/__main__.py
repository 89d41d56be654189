"""`python -m benchmarks.device BUNDLE --device WHERE`: golden vectors, cold start, memory and latency on a device."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from acwskd_edge.bench import options
from acwskd_edge.commandline import Parser
from acwskd_edge.errors import exit_with
from benchmarks.device import options as places

EXAMPLES = """
python -m benchmarks.device runs/demo --device local
python -m benchmarks.device runs/demo --device ssh:pi@raspberrypi --python '~/venv/bin/python' --threads 4
python -m benchmarks.device runs/demo --device adb --benchmark-model android_aarch64_benchmark_model
python -m benchmarks.device.arm64 build/arm64
python -m benchmarks.device runs/demo --device adb:R58M123ABC --runtime build/arm64
"""


def main() -> int:
    """Parse, then import what is heavy."""
    parser = Parser("python -m benchmarks.device", __doc__ or "", EXAMPLES)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    options.add(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="the document (RUN/devices/WHERE.json)")
    places.add(parser)
    args = parser.parse_args()
    options.check(args)
    place = places.place_of(args)
    options.limit_threads(args.threads)
    return run(args, place)


def run(args: argparse.Namespace, place: places.Place) -> int:
    """Measure, print, and say where the document lies; exit code 3 if the device answers wrong."""
    from acwskd_edge.bench.document import Document, failed, load
    from acwskd_edge.bench.measure import Settings
    from acwskd_edge.bench.table import table
    from acwskd_edge.bundle import open_bundle
    from acwskd_edge.files import only_writer, write_json
    from benchmarks.device.places import measure_at

    bundle = open_bundle(args.bundle)
    out = args.json or default_file(args.bundle, bundle.root, place.label)
    settings = Settings(args.runs, args.threads, tuple(args.artefact))
    for one in settings.artefacts:
        bundle.find(one)
    found = load(out)
    shown: list[Document] = [] if found is None else [found]

    def take(document: Document) -> None:
        document["device"]["kind"] = place.kind
        document["command"] = f"python -m benchmarks.device {shlex.join(sys.argv[1:])}"
        write_json(out, document)
        shown[:] = [document]

    with only_writer(out.parent), tempfile.TemporaryDirectory() as work:
        measure_at(place, bundle, settings, Path(work), take, None if args.again else found, again=args.again)
    print(table(shown[0]))
    print(out)
    return 3 if failed(shown[0]) else 0


def default_file(given: Path, root: Path, label: str) -> Path:
    """RUN/devices/WHERE.json; beside a bare bundle, because a file inside would break its seal."""
    inside = given.resolve() == root.resolve()
    folder = root.with_name(f"{root.resolve().name}-devices") if inside else given / "devices"
    return folder / f"{label}.json"


if __name__ == "__main__":
    sys.exit(exit_with(main))
