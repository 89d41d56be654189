"""Where a bundle can be measured: this machine, over ssh, over adb. One document from each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from acwskd_edge.bench.document import Document
from acwskd_edge.bench.measure import Settings, measure
from acwskd_edge.bundle import Bundle
from acwskd_edge.errors import UsageError
from benchmarks.device.payload import pack

Take = Callable[[Document], None]


def measure_at(
    kind: str,
    where: str,
    bundle: Bundle,
    settings: Settings,
    options: argparse.Namespace,
    work: Path,
    take: Take,
    found: Document | None,
) -> None:
    """Measure on a device; `take` gets the document after every step, the last time complete.

    Args:
        kind, where: `local`, `ssh` and a host, `adb` and a serial number or nothing.
        options: of the command line: python, ssh_option, clean_device; benchmark_model, benchmark_flag, runtime; again.
        work: an empty folder to pack in.
        found: an earlier document to continue.
    Raises:
        AcwskdError: what `take` has got is all there is.
    """
    if kind == "local":
        measure(bundle, settings, take, found)
    elif kind == "ssh":
        from benchmarks.device.over_ssh import measure_over_ssh
        from convert.ssh import Device

        device = Device(where, tuple(options.ssh_option), options.clean_device, flag="--device ssh:")
        measure_over_ssh(device, pack(bundle, settings, work), take, options.python, options.again)
    else:
        over_adb(where, bundle, settings, options, work, take, found)


def over_adb(
    where: str,
    bundle: Bundle,
    settings: Settings,
    options: argparse.Namespace,
    work: Path,
    take: Take,
    found: Document | None,
) -> None:
    """With LiteRT's tool, or with our own Python."""
    from benchmarks.device.adb import Adb
    from benchmarks.device.benchmark_model import measure_with_tool
    from benchmarks.device.over_adb import measure_over_adb

    if bool(options.benchmark_model) == bool(options.runtime):
        raise UsageError(
            "a phone has no Python of ours",
            allowed="--benchmark-model FILE (times only), or --runtime FOLDER (golden vectors, then times)",
            hint="python -m benchmarks.device.arm64 build/arm64 makes the folder",
        )
    phone = Adb(where)
    if options.benchmark_model:
        measure_with_tool(phone, options.benchmark_model, options.benchmark_flag, bundle, settings, take, found)
    else:
        measure_over_adb(phone, pack(bundle, settings, work), options.runtime, work, take, options.again)
