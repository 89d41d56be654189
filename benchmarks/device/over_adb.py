"""`--runtime FOLDER`: our own ARM64 Python and LiteRT on a phone; golden vectors, then the same timing as everywhere.

**Not run on a phone**: proven with Debian's adbd and in an emulated ARM64 processor.
"""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

from acwskd_edge.errors import AcwskdError, UsageError
from acwskd_edge.files import sha256
from benchmarks.device.adb import PLACE, Adb
from benchmarks.device.over_ssh import ANSWER, Take, parse
from benchmarks.device.payload import RESULT, STAGE, Payload
from convert.remote import ERRORS
from convert.ssh import printable

ARCHIVE = "runtime.tar.gz"
ERROR = "error: "


def measure_over_adb(phone: Adb, payload: Payload, runtime: Path, work: Path, take: Take, again: bool) -> None:
    """Push a payload and its runtime, run it, listen; `take` is called with the document after every step there.

    Args:
        runtime: made by `arm64.build`.
        work: a folder to pack it in.
        again: forget what the phone measured before.
    Raises:
        UsageError: the phone is not aarch64, or `runtime` is no such folder.
        Dropped: it is gone; what `take` got is kept, and the next time continues.
    """
    facts = phone.facts()
    if facts["architecture"] != "aarch64":
        raise UsageError(f"{phone.serial} is {facts['architecture'] or 'of an unknown kind'}", allowed="aarch64")
    if not (runtime / "python").is_file():
        raise UsageError(f"--runtime {runtime} is no ARM64 Python", hint=f"python -m benchmarks.device.arm64 {runtime}")
    folder = f"{PLACE}/{payload.key}"
    archive = pack_runtime(runtime, work / ARCHIVE)
    phone.push({**payload.files, ARCHIVE: archive}, folder)
    unpack(phone, folder, sha256(archive))
    if again:
        phone.shell(f"rm -f {folder}/{RESULT}")
    before, error, code = phone.conditions(), "", ""
    for line in phone.lines(f"cd {folder} && sh runtime/python -u {STAGE}.py"):
        code = line
        if line.startswith(ANSWER):
            document = parse(line, phone.serial)
            document["device"] |= {key: value for key, value in facts.items() if value and key != "python"}
            document["conditions"].append({"phone": before})
            take(document)
        elif line.startswith(ERROR):
            error = printable(line[len(ERROR) :])
        elif not line.isdigit():
            print(f"  {printable(line)}", flush=True)
    if code != "0":
        what, _, hint = error.partition("; next: ")
        kind = ERRORS.get(int(code), AcwskdError)
        raise kind(f"{phone.serial}: {what or f'{STAGE}.py ended with exit code {code}'}", hint=hint or None)


def unpack(phone: Adb, folder: str, digest: str) -> None:
    """The runtime, if it is not there.

    Raises:
        AcwskdError: the phone cannot, for instance because its disk is full.
    """
    mark = f"{folder}/runtime/.unpacked"
    if phone.shell(f"cat {mark}")[1].strip() == digest:
        return
    command = (
        f"cd {folder} && rm -rf runtime && mkdir runtime && tar xzf {ARCHIVE} -C runtime && echo {digest} > {mark}"
    )
    code, said = phone.shell(command)
    if code:
        raise AcwskdError(
            f"{phone.serial} cannot unpack the runtime ({printable(said)[-200:]})", hint="free space there"
        )


def pack_runtime(runtime: Path, archive: Path) -> Path:
    """A .tar.gz of a folder; equal folders give equal bytes."""
    with (
        gzip.GzipFile(archive, "wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for path in sorted(runtime.rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(path.relative_to(runtime).as_posix())
                info.size, info.mode = path.stat().st_size, path.stat().st_mode & 0o755
                with path.open("rb") as stream:
                    tar.addfile(info, stream)
    return archive
