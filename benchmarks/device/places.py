"""Where a bundle can be measured: this machine, over ssh, over adb. One document from each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acwskd_edge.bench.document import Document
from acwskd_edge.bench.measure import Settings, measure
from acwskd_edge.bundle import Bundle
from acwskd_edge.errors import UsageError
from benchmarks.device.options import Place
from benchmarks.device.payload import pack

Take = Callable[[Document], None]


def measure_at(
    place: Place, bundle: Bundle, settings: Settings, work: Path, take: Take, found: Document | None, *, again: bool
) -> None:
    """Measure on a device; `take` gets the document after every step, the last time complete.

    Args:
        work: an empty folder to pack in.
        found: an earlier document to continue.
        again: forget what the device itself has kept.
    Raises:
        AcwskdError: what `take` has got is all there is.
    """
    if place.kind == "local":
        measure(bundle, settings, take, found)
    elif place.kind == "ssh":
        from benchmarks.device.over_ssh import measure_over_ssh
        from convert.ssh import Device

        options = place.options
        device = Device(place.where, tuple(options.ssh_option), options.clean_device, flag="--device ssh:")
        measure_over_ssh(device, pack(bundle, settings, work), take, options.python, again)
    else:
        over_adb(place, bundle, settings, work, take, found, again=again)


def over_adb(
    place: Place, bundle: Bundle, settings: Settings, work: Path, take: Take, found: Document | None, *, again: bool
) -> None:
    """With LiteRT's tool, or with our own Python."""
    from benchmarks.device.adb import Adb
    from benchmarks.device.benchmark_model import measure_with_tool
    from benchmarks.device.over_adb import measure_over_adb

    options = place.options
    if bool(options.benchmark_model) == bool(options.runtime):
        raise UsageError(
            "a phone has no Python of ours",
            allowed="--benchmark-model FILE (times only), or --runtime FOLDER (golden vectors, then times)",
            hint="python -m benchmarks.device.arm64 build/arm64 makes the folder",
        )
    phone = Adb(place.where)
    if options.benchmark_model:
        measure_with_tool(phone, options.benchmark_model, options.benchmark_flag, bundle, settings, take, found)
    else:
        measure_over_adb(phone, pack(bundle, settings, work), options.runtime, work, take, again)
