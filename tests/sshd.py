"""A device for tests: OpenSSH's real server on loopback, with throw-away keys and a home of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def quoted(path: Path) -> str:
    """As ssh's and sshd's configuration take a path with spaces."""
    return f'"{path}"'


class Sshd:
    """A running server; `home` is the device's home folder, `bin` all that its PATH holds before the system's."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.bin = root, root / "home", root / "bin"
        for folder in (root, self.home, self.bin):
            folder.mkdir(parents=True)
        self.keygen("host")
        self.keygen("user")
        (root / "authorized").write_bytes((root / "user.pub").read_bytes())
        self.install_python(self.bin)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.know()
        self.environment: dict[str, object] = {
            "HOME": self.home,
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "OMP_NUM_THREADS": 1,
        }
        self.server: subprocess.Popen[bytes] | None = None

    def keygen(self, name: str) -> None:
        """A new key pair."""
        for old in (self.root / name, self.root / f"{name}.pub"):
            old.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / name],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def install_python(self, folder: Path) -> None:
        """This interpreter as the device's python3."""
        (folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (folder / "python3").chmod(0o755)

    def know(self) -> None:
        """What `ssh` asks once: the host key becomes known."""
        key = " ".join((self.root / "host.pub").read_text().split()[:2])
        (self.root / "known").write_text(f"[127.0.0.1]:{self.port} {key}\n")

    def start(self) -> None:
        """Listen."""
        assert SSHD
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        config = f"""
            ListenAddress 127.0.0.1
            Port {self.port}
            HostKey {quoted(self.root / "host")}
            AuthorizedKeysFile {quoted(self.root / "authorized")}
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin prohibit-password
            SetEnv {" ".join(f'"{name}={value}"' for name, value in self.environment.items())}
        """
        (self.root / "sshd_config").write_text(config)
        with (self.root / "log").open("ab") as log:
            self.server = subprocess.Popen([SSHD, "-D", "-e", "-f", self.root / "sshd_config"], stderr=log)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                assert self.server.poll() is None, (self.root / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.root / "log").read_text())

    def sessions(self) -> list[int]:
        """Process ids of the connections."""
        assert self.server
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        return [int(one) for one in children.read_text().split()]

    def drop(self) -> None:
        """Kill every connection, as a cable would."""
        for one in self.sessions():
            os.kill(one, signal.SIGKILL)

    def restart(self) -> None:
        """With another key or environment."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Connections and server."""
        if self.server:
            self.drop()
            self.server.kill()
            self.server.wait()
            self.server = None

    @property
    def host(self) -> str:
        """For `--on`."""
        return "127.0.0.1"

    @property
    def options(self) -> tuple[str, ...]:
        """For `--ssh-option`, in place of ~/.ssh/config."""
        return (
            f"Port={self.port}",
            f"IdentityFile={quoted(self.root / 'user')}",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            f"UserKnownHostsFile={quoted(self.root / 'known')}",
            "GlobalKnownHostsFile=none",
            "StrictHostKeyChecking=yes",
        )


@contextmanager
def running(root: Path) -> Iterator[Sshd]:
    """A device that answers; skips where OpenSSH's server is not installed."""
    if not SSHD or not shutil.which("ssh"):
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    device = Sshd(root)
    device.start()
    try:
        yield device
    finally:
        device.stop()


def environment(folder: Path, server: Sshd, *packages: ModuleType) -> Path:
    """A virtual environment with these packages; the server's python3 from now on."""
    venv.create(folder)
    site = next(folder.glob("lib/python3*/site-packages"))
    for module in packages:
        place = Path(str(module.__file__)).parent
        for one in place.parent.glob(f"{place.name}*"):  # with its metadata and libraries
            (site / one.name).symlink_to(one)
    (server.bin / "python3").write_text(f"#!/bin/sh\nexec '{folder}/bin/python' \"$@\"\n")
    return folder
