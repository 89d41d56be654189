"""`--device ssh:user@host`: a Raspberry Pi, a Jetson, any Linux with Python, numpy and a runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from acwskd_edge.bench.document import Document
from acwskd_edge.errors import AcwskdError
from benchmarks.device.payload import RESULT, STAGE, Payload
from convert.remote import Trip
from convert.ssh import Connection, Device

ANSWER = "result "
Take = Callable[[Document], None]


def measure_over_ssh(device: Device, payload: Payload, take: Take, python: str | None, again: bool) -> None:
    """Run a payload on a device; `take` is called with the document after every step there.

    A connection that drops is made again; the device goes on meanwhile.

    Args:
        python: the interpreter there; None: python3.
        again: forget what the device measured before.
    Raises:
        Unreachable, Dropped: exit code 1; the same command continues.
        MissingDependency: no ssh here; no Python 3.10, numpy or runtime there.
        AcwskdError: what the device says.
    """
    trip = BenchTrip(device, cargo="library and bundle", python=python, payload=payload, take=take, again=again)
    trip.persist(trip.travel)


@dataclass(kw_only=True)
class BenchTrip(Trip):
    """A payload's way."""

    payload: Payload
    take: Take
    again: bool

    def travel(self, connection: Connection) -> None:
        """Send what is missing there, run it, listen."""
        have = self.open(connection, self.payload.key)
        self.copy(connection, self.payload.files, have)
        if self.again:
            connection.ask(do="remove", names=[RESULT])
            self.again = False
        self.stage(connection, STAGE)
        if self.device.clean:
            connection.ask(do="clean")

    def heard(self, line: str) -> None:
        """A line for people, or the document."""
        if line.startswith(ANSWER):
            self.take(parse(line, self.device.host))
        else:
            super().heard(line)


def parse(line: str, where: str) -> Document:
    """A `result` line.

    Raises:
        AcwskdError: it is not one of ours.
    """
    try:
        document = json.loads(line.removeprefix(ANSWER))
        _ = document["rows"], document["device"]["kind"], document["complete"]
    except (ValueError, KeyError, TypeError) as error:
        raise AcwskdError(f"{where} answers with something that is not ours ({error})") from error
    return dict(document)
