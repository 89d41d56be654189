"""The far end of `--on`: runs on the device under its own python3 (3.6 or newer), read from ssh's stdin.

One JSON line a request, one or more JSON lines back; file contents travel as raw bytes behind their line.

    open   key                  -> {"have": {name: sha256}}         work folder ~/.cache/acwskd-edge/KEY
    put    name size sha256 +   -> {"done": true}
    stage  name seen python     -> {"line": ..., "seen": bytes of the log}* {"code": exit code}
    get    name                 -> {"size": bytes, "sha256": ...} +
    remove names                -> {"done": true}                   files of the work folder
    clean                       -> {"done": true}                   the work folder

`seen` is null the first time, then what an earlier connection brought of the log; it is not repeated.
What cannot be done is answered with {"error": text, "errno": number or null}. A stage outlives the connection: it runs
in a session of its own, holds its lock until it ends, and writes to a log. A later `stage` of that name waits for it
and then starts the script again, which recognises what is finished.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

GREETING = "acwskd-edge agent 1"
BLOCK = 1 << 20
POLL = 0.1  # seconds between looks at a stage's log
ALIVE = 5.0  # seconds without a line after which one is sent, to notice that nobody listens


class Refused(Exception):
    """A request that makes no sense."""


class Agent:
    """One connection."""

    def __init__(self, source: "IO[bytes]", sink: int) -> None:
        self.source, self.sink = source, sink
        self.folder = Path()

    def send(self, **answer: Any) -> None:
        """One JSON line."""
        self.write(json.dumps(answer).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """All of it, past any buffer that could be lost."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.sink, view) :]

    def serve(self) -> None:
        """Answer until the other side closes."""
        self.write(b"\n" + GREETING.encode() + b"\n")
        for line in iter(self.source.readline, b""):
            request = json.loads(line.decode())
            payload = self.payload(request.get("size", 0))
            try:
                getattr(self, "do_" + request.pop("do"))(payload=payload, **request)
            except BrokenPipeError:
                raise
            except OSError as error:
                self.send(error=f"{error.filename or self.folder}: {error.strerror}", errno=error.errno)
            except Refused as error:
                self.send(error=str(error), errno=None)
            for _ in payload:  # what was not read of it, so that the next request starts at its start
                pass

    def payload(self, size: int) -> "Iterator[bytes]":
        """The bytes behind a request."""
        while size:
            block = self.source.read(min(size, BLOCK))
            if not block:
                raise EOFError
            size -= len(block)
            yield block

    def path(self, name: str) -> Path:
        """A file of the work folder."""
        if self.folder == Path() or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise Refused(f"no file {name!r} here")
        return self.folder / name

    def do_open(self, payload: "Iterator[bytes]", key: str) -> None:
        """Make the work folder and say what it holds."""
        if not key.isalnum():
            raise Refused(f"no build key: {key!r}")
        self.folder = Path.home() / ".cache" / "acwskd-edge" / key
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob("**/.part-*"):
            leftover.unlink()
        files = [one for one in self.folder.glob("**/*") if one.is_file() and not one.name.startswith(".")]
        self.send(have={str(one.relative_to(self.folder)): sha256(one) for one in files})

    def do_put(self, payload: "Iterator[bytes]", name: str, size: int, sha256: str) -> None:
        """A file appears whole or not at all."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=str(path.parent), prefix=".part-")
        try:
            digest = hashlib.sha256()
            with os.fdopen(handle, "wb") as stream:
                for block in payload:
                    digest.update(block)
                    stream.write(block)
                stream.flush()
                os.fsync(stream.fileno())
            if digest.hexdigest() != sha256:
                raise Refused(f"{name} arrived with another sha256")
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink()
            raise
        self.send(done=True)

    def do_stage(self, payload: "Iterator[bytes]", name: str, seen: "int | None", python: "str | None") -> None:
        """Run a script of the kit, after the one that may run already; forward what they print."""
        interpreter = str(Path(python).expanduser()) if python else sys.executable
        script, log = self.path(name + ".py"), Log(self, self.path("." + name + ".log"), seen or 0)
        with self.path("." + name + ".lock").open("w") as lock:
            told = seen is not None
            while not locked(lock):
                told = True
                log.forward()
                time.sleep(POLL)
            if told:
                log.forward(rest=True)
            with log.path.open("wb") as out:
                log.seen = 0
                child = subprocess.Popen(
                    [interpreter, "-u", "-W", "ignore::DeprecationWarning", str(script)],
                    cwd=str(self.folder),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                )
        while not ended(child):
            log.forward()
        log.forward(rest=True)
        self.send(code=child.returncode)

    def do_get(self, payload: "Iterator[bytes]", name: str) -> None:
        """A file's size, hash and bytes."""
        path = self.path(name)
        with path.open("rb") as stream:
            left = os.fstat(stream.fileno()).st_size
            self.send(size=left, sha256=sha256(path))
            while left:
                block = stream.read(min(left, BLOCK))
                if not block:
                    raise EOFError
                left -= len(block)
                self.write(block)

    def do_remove(self, payload: "Iterator[bytes]", names: "list[str]") -> None:
        """Forget those files that are there."""
        for path in map(self.path, names):
            if path.exists():
                path.unlink()
        self.send(done=True)

    def do_clean(self, payload: "Iterator[bytes]") -> None:
        """Remove the work folder."""
        shutil.rmtree(str(self.path("")))
        self.send(done=True)


class Log:
    """What a stage prints, followed line by line."""

    def __init__(self, agent: Agent, path: Path, seen: int) -> None:
        self.agent, self.path, self.seen = agent, path, seen
        self.sent = time.monotonic()

    def forward(self, rest: bool = False) -> None:
        """Send what is new; with `rest` also a last line that nothing ends."""
        new = b""
        if self.path.exists():
            with self.path.open("rb") as stream:
                stream.seek(self.seen)
                new = stream.read()
        if not rest:
            new = new[: new.rfind(b"\n") + 1]
        for line in new.splitlines(keepends=True):
            self.seen += len(line)
            self.agent.send(line=line.decode("utf-8", "replace").rstrip("\r\n"), seen=self.seen)
        if new:
            self.sent = time.monotonic()
        elif time.monotonic() - self.sent > ALIVE:
            self.agent.send(alive=True)
            self.sent = time.monotonic()


def ended(child: "subprocess.Popen[bytes]") -> bool:
    """Wait a moment for a process."""
    try:
        child.wait(POLL)
    except subprocess.TimeoutExpired:
        return False
    return True


def locked(stream: "IO[str]") -> bool:
    """Take a lock that ends with the last process that holds the stream."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError, EOFError):
        Agent(sys.stdin.buffer, 1).serve()
