"""`acwskd-edge`: what a device needs. Check a bundle where it will run, and segment with it."""

from __future__ import annotations

import sys
from pathlib import Path

from acwskd_edge import __version__
from acwskd_edge.commandline import Parser
from acwskd_edge.errors import exit_with

EXAMPLES = """
acwskd-edge verify runs/demo/bundle
acwskd-edge predict runs/demo/bundle scan.nii.gz -o mask.nii.gz
acwskd-edge predict runs/demo/bundle slice.png -o overlay.png --artefact tflite-int8
"""


def run() -> int:
    """Parse, then import what is heavy."""
    parser = Parser("acwskd-edge", __doc__ or "", EXAMPLES)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify|predict", parser_class=Parser)
    check = verbs.add_parser("verify", help="check hashes, schema and golden vectors on the runtimes installed here")
    check.add_argument("bundle", metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    segment = verbs.add_parser("predict", help="NIfTI in, NIfTI out; PNG or JPEG in, PNG overlay out")
    segment.add_argument("bundle", metavar="BUNDLE", help="a bundle folder, or a run folder that holds one")
    segment.add_argument("input", type=Path, metavar="INPUT", help=".nii, .nii.gz, .png or .jpg")
    segment.add_argument("-o", "--output", type=Path, required=True, help="file to write")
    segment.add_argument("--artefact", metavar="ID", help="for instance tflite-int8 (default: the first that runs)")
    args = parser.parse_args()

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


def main() -> int:
    """Entry point of the `acwskd-edge` command."""
    return exit_with(run)


if __name__ == "__main__":
    sys.exit(main())
