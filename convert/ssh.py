"""A connection to a device: the system's ssh client carries one pair of pipes to `ssh_agent.py` there.

The remote command line is one constant. The agent, file names, and file contents go through stdin, so that nothing a
user or a file is called ever meets a shell. Keys, ports, jump hosts and host key policy are those of the user's ssh.
"""

from __future__ import annotations

import errno
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from acwskd_edge.errors import AcwskdError, MissingDependency, TamperedError, UsageError
from acwskd_edge.files import sha256
from convert.ssh_agent import BLOCK, GREETING

LOADER = "exec python3 -u -c 'import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))'"
OPTIONS = (  # after the user's own, which come first and win
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    "ControlMaster=no",  # an existing one is used; becoming one would outlive us
    "RemoteCommand=none",
    "RequestTTY=no",
    "ClearAllForwardings=yes",
)
HOST = re.compile(r"(ssh://)?([A-Za-z0-9_][\w.+-]*@)?(\[[\w.:%]+\]|[A-Za-z0-9_:][\w.:-]*)", re.ASCII)
HOSTS = "[user@]host, ssh://[user@]host:port or a name of ~/.ssh/config: letters, digits and . _ - : only"
OPTION = re.compile(r"[A-Za-z0-9]+=[^\n\r\0]+")
LOST, NO_COMMAND = 255, 127  # exit codes of ssh: its own failure, and the remote shell's
WELCOME = 1 << 16  # bytes a login script may print before the agent speaks
LINE = 1 << 20  # bytes of the longest answer


class Unreachable(AcwskdError):
    """No connection could be made."""


class Dropped(AcwskdError):
    """A connection that stood is gone."""


@dataclass(frozen=True)
class Device:
    """Where `--on` points."""

    host: str  # as ssh takes it
    options: tuple[str, ...] = ()  # ssh's own, `Name=value`
    clean: bool = False  # remove the work folder there when all is fetched
    again: str = "the same command"  # what continues after a dropped connection
    flag: str = "--on"  # the option that named it, for messages

    def __post_init__(self) -> None:
        if not HOST.fullmatch(self.host):
            raise UsageError(f"{self.flag} {self.host!r}", allowed=HOSTS)
        for one in self.options:
            if not OPTION.fullmatch(one):
                raise UsageError(f"--ssh-option {one!r}", allowed="Name=value, as ssh -o takes it; see man ssh_config")

    @property
    def command(self) -> list[str]:
        """The ssh command line."""
        options = [word for one in (*self.options, *OPTIONS) for word in ("-o", one)]
        return ["ssh", "-T", *options, "--", self.host, LOADER]


class Connection:
    """One ssh process with an agent at its end; a context manager.

    Raises:
        Unreachable: ssh cannot connect, or the device refuses: host key, authentication. Says which.
        Dropped: the connection stood and is gone; whatever was complete on either side is kept.
        MissingDependency: no ssh here, no python3 there.
        UsageError: the device's disk is full or read-only.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.greeted = False
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        try:
            self.ssh = subprocess.Popen(
                device.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
            )
        except FileNotFoundError as error:
            raise MissingDependency(f"{device.flag} needs ssh", hint="apt install openssh-client") from error
        assert self.ssh.stdin
        assert self.ssh.stdout
        self.to, self.back = self.ssh.stdin, self.ssh.stdout

    def __enter__(self) -> Connection:
        agent = Path(__file__).with_name("ssh_agent.py").read_bytes()
        try:
            self.send(b"%d\n" % len(agent) + agent)
            read = 0
            while (line := self.back.readline(LINE)) != GREETING.encode() + b"\n":
                read += len(line)
                if not line or read > WELCOME:
                    self.fail()
        except BaseException:
            self.close()
            raise
        self.greeted = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End ssh; a stage that runs on the device goes on there."""
        for pipe in (self.to, self.back):
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        try:
            self.ssh.wait(5)
        except subprocess.TimeoutExpired:
            self.ssh.kill()
            self.ssh.wait()
        self.errors.close()

    def open(self, key: str) -> dict[str, str]:
        """Enter the work folder of a build key; returns the SHA-256 of every file that is there."""
        have = self.ask(do="open", key=key)["have"]
        return {str(name): str(value) for name, value in have.items()}

    def put(self, path: Path, name: str, sent: Callable[[int], None]) -> None:
        """Send a file; it appears whole or not at all. `sent` is told the bytes of each block."""
        self.request(do="put", name=name, size=path.stat().st_size, sha256=sha256(path))
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                self.send(block)
                sent(len(block))
        self.answer()

    def stage(self, name: str, seen: int | None, python: str | None = None) -> Iterator[dict[str, Any]]:
        """Run a script of the kit; its lines as {"line", "seen"}, at last {"code"}.

        Args:
            seen: bytes of its log that an earlier connection brought, not to be repeated; None if it is the first.
            python: the interpreter there, for instance `~/venv/bin/python`; None: the agent's own.
        """
        self.request(do="stage", name=name, seen=seen, python=python)
        while True:
            answer = self.answer()
            if "alive" not in answer:
                yield answer
            if "code" in answer:
                return

    def get(self, name: str, path: Path) -> str:
        """Fetch a file; returns its SHA-256. Nothing is left at `path` when it does not arrive whole.

        Raises:
            TamperedError: what arrived is not what was sent.
        """
        head = self.ask(do="get", name=name)
        try:
            with path.open("wb") as stream:
                left = int(head["size"])
                while left:
                    block = self.back.read(min(left, BLOCK))
                    if not block:
                        self.fail()
                    left -= len(block)
                    stream.write(block)
            if sha256(path) != head["sha256"]:
                raise TamperedError(f"{name} from {self.device.host} arrived with another sha256")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return str(head["sha256"])

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer."""
        self.request(**request)
        return self.answer()

    def request(self, **request: Any) -> None:
        """One JSON line."""
        self.send(json.dumps(request).encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Bytes to the device, at once."""
        try:
            self.to.write(data)
            self.to.flush()
        except BrokenPipeError:
            self.fail()

    def answer(self) -> dict[str, Any]:
        """The next JSON line."""
        line = self.back.readline(LINE)
        if not line.endswith(b"\n"):
            self.fail()
        answer = json.loads(line)
        if "error" in answer:
            self.refuse(str(answer["error"]), answer["errno"])
        return dict(answer)

    def refuse(self, what: str, number: int | None) -> NoReturn:
        """What the agent could not do."""
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UsageError(f"the disk of {self.device.host} is full ({printable(what)})", hint="free space there")
        if number in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise UsageError(f"cannot write on {self.device.host} ({printable(what)})", hint="make ~/.cache writable")
        raise AcwskdError(f"{self.device.host}: {printable(what)}")

    def fail(self) -> NoReturn:
        """Say why ssh ended."""
        host = self.device.host
        try:
            code = self.ssh.wait(5)
        except subprocess.TimeoutExpired:
            self.ssh.kill()
            self.ssh.wait()
            raise AcwskdError(f"{host} says something that is not ours", hint=f"ssh {host} python3 --version") from None
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace").strip()
        last = printable(said.splitlines()[-1]) if said else f"ssh ended with {code}"
        if self.greeted and code == LOST:
            raise Dropped(f"the connection to {host} dropped ({last})")
        if code == LOST:
            raise unreachable(host, said, last)
        if code == NO_COMMAND:
            raise MissingDependency(f"python3 is missing on {host} ({last})", hint="there: sudo apt install python3")
        raise AcwskdError(f"python3 on {host} ended with {code} ({last})", hint=f"ssh {host} python3 --version")


def unreachable(host: str, said: str, last: str) -> Unreachable:
    """Why there is no connection, from what ssh printed."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return Unreachable(
            f"the host key of {host} is not the one that is known: another machine answers, or it was flashed anew",
            hint=f"if you expect that: ssh-keygen -R its name, then ssh {host} once",
        )
    if "Host key verification failed" in said:
        return Unreachable(f"the host key of {host} is not known", hint=f"ssh {host} once, and compare its key")
    if "Permission denied" in said or "Too many authentication failures" in said:
        return Unreachable(f"{host} refuses authentication ({last})", hint=f"ssh-copy-id {host}")
    return Unreachable(f"cannot reach {host} ({last})", hint=f"ssh {host} must work without a question")


def printable(text: str) -> str:
    """Text of another machine, without what would steer a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)
