"""`acwskd-edge`: what a device needs. Check a bundle where it will run, time it there, and segment with it."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from acwskd_edge import __version__
from acwskd_edge.bench import options
from acwskd_edge.commandline import Parser
from acwskd_edge.errors import exit_with

EXAMPLES = """
acwskd-edge verify runs/demo/bundle
acwskd-edge predict runs/demo/bundle scan.nii.gz -o mask.nii.gz
acwskd-edge predict runs/demo/bundle slice.png -o overlay.png --artefact tflite-int8
acwskd-edge bench runs/demo/bundle --runs 100 --threads 4 --json pi5.json
"""


def run() -> int:
    """Parse, then import what is heavy."""
    parser = Parser("acwskd-edge", __doc__ or "", EXAMPLES)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify|predict|bench", parser_class=Parser)
    check = verbs.add_parser("verify", help="check hashes, schema and golden vectors on the runtimes installed here")
    check.add_argument("bundle", metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    segment = verbs.add_parser("predict", help="NIfTI in, NIfTI out; PNG or JPEG in, PNG overlay out")
    segment.add_argument("bundle", metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    segment.add_argument("input", type=Path, metavar="INPUT", help=".nii, .nii.gz, .png or .jpg")
    segment.add_argument("-o", "--output", type=Path, required=True, help="file to write")
    segment.add_argument("--artefact", metavar="ID", help="for instance tflite-int8 (default: the first that runs)")
    time = verbs.add_parser("bench", help="golden vectors, then cold start, memory and latency, on this machine")
    time.add_argument("bundle", metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    options.add(time)
    time.add_argument("--json", type=Path, metavar="FILE", help="the document; an interrupted one is continued")
    args = parser.parse_args()
    if args.verb == "bench":
        return bench(args)

    from acwskd_edge.bundle import open_bundle

    bundle = open_bundle(args.bundle)
    if args.verb == "predict":
        from acwskd_edge.predict import predict

        print("\n".join(predict(bundle, args.input, args.output, args.artefact)))
        return 0
    from acwskd_edge.verify import verify

    checks = verify(bundle)
    for one in checks:
        print(f"{one.name:<20}{one.state:<9}{one.detail}")
    return 3 if any(one.state == "FAILED" for one in checks) else 0


def bench(args: Namespace) -> int:
    """Measure; the document goes to --json after every step."""
    options.check(args)
    options.limit_threads(args.threads)

    from acwskd_edge.bench.document import Document, failed, load
    from acwskd_edge.bench.measure import Settings, measure
    from acwskd_edge.bench.table import table
    from acwskd_edge.bundle import open_bundle
    from acwskd_edge.files import write_json

    def save(document: Document) -> None:
        if args.json:
            write_json(args.json, document)

    found = load(args.json)
    settings = Settings(args.runs, args.threads, tuple(args.artefact))
    document = measure(open_bundle(args.bundle), settings, save, None if args.again else found)
    print(table(document))
    if args.json:
        print(args.json)
    return 3 if failed(document) else 0


def main() -> int:
    """Entry point of the `acwskd-edge` command."""
    return exit_with(run)


if __name__ == "__main__":
    sys.exit(main())
