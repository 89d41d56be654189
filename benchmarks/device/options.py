"""`--device` and the options of the ways to one; imports nothing heavy."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from acwskd_edge.errors import UsageError

DEVICES = "local, ssh:user@host, adb, adb:SERIAL"
OF_KIND = (
    ("python", "ssh"),
    ("ssh_option", "ssh"),
    ("clean_device", "ssh"),
    ("benchmark_model", "adb"),
    ("runtime", "adb"),
    ("benchmark_flag", "adb"),
)


@dataclass(frozen=True)
class Place:
    """Where something is measured."""

    kind: str  # local, ssh or adb
    where: str  # a host; a serial number, or nothing for the one phone there is
    options: argparse.Namespace  # those of OF_KIND

    @property
    def name(self) -> str:
        """As the command line has it, for instance `ssh:pi@raspberrypi`."""
        return ":".join(filter(None, (self.kind, self.where)))

    @property
    def label(self) -> str:
        """The name as part of a file's."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.name).strip("-.")


def add(parser: argparse.ArgumentParser) -> None:
    """--device, and what ssh and adb need."""
    parser.add_argument("--device", default="local", metavar="WHERE", help=f"{DEVICES} (local)")
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


def place_of(args: argparse.Namespace) -> Place:
    """What the command line says.

    Raises:
        UsageError: no such device, or an option of another kind of device.
    """
    kind, _, where = args.device.partition(":")
    if kind not in ("local", "ssh", "adb") or (kind == "local" and where) or (kind == "ssh" and not where):
        raise UsageError(f"--device {args.device}", allowed=DEVICES)
    for name, owner in OF_KIND:
        if getattr(args, name) and kind != owner:
            raise UsageError(f"--{name.replace('_', '-')} with --device {args.device}", allowed=f"--device {owner}:...")
    return Place(kind, where, args)
