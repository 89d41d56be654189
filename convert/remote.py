"""`--on user@device`: a build kit goes there, an engine and its measurements come back, all or nothing.

    preflight -> copy the kit -> build -> run (golden vectors, Dice gate) -> time -> fetch, hashes checked

Everything on the device lies in ~/.cache/acwskd-edge/<build key>/ and stays there, so that a second try sends only
what is missing and repeats no finished stage.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from acwskd_edge.errors import AcwskdError, MissingDependency, RefusedError, TamperedError, UsageError
from acwskd_edge.files import new_folder, sha256
from convert.ssh import Connection, Device, Dropped, Unreachable, printable

PREFLIGHT = ("kit.json", "trt_common.py", "preflight.py")  # of the kit, what the first stage needs
BACKOFF = (2, 4, 8, 16, 32)  # seconds before each new try of a dropped connection
REFUSED = 3  # exit code of run.py when golden vectors or the Dice gate fail
ERRORS: dict[int, type[AcwskdError]] = {
    REFUSED: RefusedError,
    4: MissingDependency,  # TensorRT or CUDA
    5: UsageError,  # disk or memory
    6: RefusedError,  # fingerprint
}
EVERY = 5.0  # seconds between two lines of a slow copy
T = TypeVar("T")


@dataclass(frozen=True)
class Built:
    """What came back from a device."""

    folder: Path
    engine: Path  # in `folder`; its bytes are those that build.json names
    passed: bool  # golden vectors and the Dice gate, on the device
    results: dict[str, dict[str, Any]]  # stage -> its json; time_engine only when passed


def build_on(device: Device, kit: Path, into: Path) -> Built:
    """Build, verify and time a kit's engine on a device; `into` is replaced by what comes back, or left as it was.

    A connection that drops is made again, up to `len(BACKOFF)` times in a row without progress.

    Raises:
        Unreachable, Dropped: exit code 1; the same command continues.
        MissingDependency: no ssh here; no python3, TensorRT or CUDA there.
        UsageError: too little disk or memory there, or a folder that cannot be written.
        RefusedError: an engine that another TensorRT or GPU built.
        TamperedError: the fetched engine is not the one that was built.
    """
    trip = KitTrip(device, kit=kit)
    return trip.persist(lambda connection: trip.travel(connection, into))


@dataclass
class Trip:
    """A way to a device and back, over as many connections as it takes."""

    device: Device
    cargo: str = "the kit"  # for people
    python: str | None = None  # the interpreter of the stages there; None: python3
    arrived: bool = False  # the device has answered once
    doing: str = "connecting"
    progress: int = 0  # files sent and stages finished
    seen: dict[str, int] = field(default_factory=dict)  # stage -> bytes of its log that are on the screen
    codes: dict[str, int] = field(default_factory=dict)  # finished stage -> its exit code

    def persist(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, anew with every connection, until it is done or `BACKOFF` is spent without progress.

        Raises:
            Unreachable: at the first connection. Dropped: later.
        """
        pauses = iter(BACKOFF)
        while True:
            done = self.progress
            try:
                with Connection(self.device) as connection:
                    return work(connection)
            except (Dropped, Unreachable) as error:
                if isinstance(error, Unreachable) and not self.arrived:
                    raise
                if self.progress > done:
                    pauses = iter(BACKOFF)
                pause = next(pauses, None)
                what = f"{error.what} while {self.doing}; what is done is kept"
                if pause is None:
                    raise Dropped(
                        f"{what}, {len(BACKOFF)} new tries failed", hint=f"{self.device.again} (continues)"
                    ) from error
                print(f"{what}; next try in {pause} s", flush=True)
                time.sleep(pause)

    def open(self, connection: Connection, key: str) -> dict[str, str]:
        """Enter the work folder; returns the SHA-256 of every file that is there."""
        have = connection.open(key)
        self.arrived = True
        return have

    def copy(self, connection: Connection, files: dict[str, Path], have: dict[str, str]) -> None:
        """Send what the device lacks."""
        missing = {name: path for name, path in files.items() if have.get(name) != sha256(path)}
        if not missing:
            return
        self.doing = f"copying {self.cargo}"
        total = sum(path.stat().st_size for path in missing.values())
        present = f", {len(files) - len(missing)} are there" if len(files) > len(missing) else ""
        print(f"{self.device.host}: copying {len(missing)} files, {total / 1e6:.1f} MB{present}", flush=True)
        sent, shown = 0, time.monotonic()

        def count(size: int) -> None:
            nonlocal sent, shown
            sent += size
            if time.monotonic() - shown > EVERY:
                shown = time.monotonic()
                print(f"{self.device.host}: {sent / 1e6:.1f} of {total / 1e6:.1f} MB", flush=True)

        for name, path in missing.items():
            connection.put(path, name, count)
            self.progress += 1

    def stage(self, connection: Connection, name: str, allowed: Sequence[int] = (0,)) -> int:
        """Run one script of the kit to its end, its lines on the screen; returns its exit code."""
        if name in self.codes:
            return self.codes[name]
        self.doing = f"{name}.py ran"
        print(f"{self.device.host}: {name}", flush=True)
        error, line, code = "", "", 1
        seen = self.seen.get(name)
        self.seen.setdefault(name, 0)
        for answer in connection.stage(name, seen, self.python):
            if "code" in answer:
                code = int(answer["code"])
                continue
            self.seen[name] = answer["seen"]
            line = printable(answer["line"])
            if line.startswith("error: "):
                error = line
            else:
                self.heard(line)
        self.progress += 1
        if code not in allowed:
            self.fail(name, code, error, line)
        self.codes[name] = code
        return code

    def heard(self, line: str) -> None:
        """A line that a stage printed."""
        print(f"  {line}", flush=True)

    def fail(self, name: str, code: int, error: str, last: str) -> NoReturn:
        """A stage's own line, as an error of ours."""
        what, _, hint = error[len("error: ") :].partition("; next: ")
        if not what and code == -signal.SIGKILL:
            what = f"{name}.py was killed, as the kernel does when memory runs out"
            hint = "free memory or add swap there"
        what = what or f"{name}.py ended with exit code {code} ({last.strip()})"
        raise ERRORS.get(code, AcwskdError)(f"{self.device.host}: {what}", hint=hint or None)


@dataclass
class KitTrip(Trip):
    """A kit's way: build, judge and time its engine there."""

    kit: Path = Path()

    def travel(self, connection: Connection, into: Path) -> Built:
        """All stages that are not finished, then the way home."""
        kit = json.loads((self.kit / "kit.json").read_text(encoding="utf-8"))
        have = self.open(connection, kit["key"])
        files = {name: self.kit / name for name in ("kit.json", *kit["files"])}
        self.copy(connection, {name: files[name] for name in PREFLIGHT}, have)
        self.stage(connection, "preflight")
        self.copy(connection, {name: one for name, one in files.items() if name not in PREFLIGHT}, have)
        self.stage(connection, "build")
        passed = self.stage(connection, "run", allowed=(0, REFUSED)) == 0
        if passed:
            self.stage(connection, "time_engine")
        with new_folder(into) as folder:
            engine, results = self.fetch(connection, folder)
        if self.device.clean:
            connection.ask(do="clean")
        return Built(into, into / engine, passed, results)

    def fetch(self, connection: Connection, folder: Path) -> tuple[str, dict[str, dict[str, Any]]]:
        """Engine, fingerprint and measurements; the engine's hash checked against build.json."""
        self.doing = "fetching"
        for name in self.codes:
            connection.get(f"{name}.json", folder / f"{name}.json")
        try:
            results = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in self.codes}
            engine, wanted = str(results["build"]["engine"]), results["build"]["fingerprint"]["engine_sha256"]
        except (ValueError, KeyError, TypeError) as error:
            self.distrust(connection, [], f"build.json or another result is malformed ({error})")
        if Path(engine).name != engine or engine.startswith("."):
            self.distrust(connection, [], f"build.json names {engine!r} as its engine")
        print(f"{self.device.host}: fetching {engine}", flush=True)
        connection.get(f"{engine}.json", folder / f"{engine}.json")
        if connection.get(engine, folder / engine) != wanted:
            self.distrust(connection, [engine], f"{engine} is not the one that was built there (its sha256 differs)")
        return engine, results

    def distrust(self, connection: Connection, names: list[str], what: str) -> NoReturn:
        """Take nothing, and let the device forget it."""
        connection.ask(do="remove", names=[*names, *(f"{name}.json" for name in self.codes)])
        raise TamperedError(f"{self.device.host}: {what}", hint=f"{self.device.again} (builds anew)")
