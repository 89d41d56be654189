#!/usr/bin/env python3
"""Packages of any Debian suite, unpacked into a folder: nothing is installed, nothing of the machine is changed.

    python3 .ci/debian.py bullseye dalvik-exchange libandroid-23-java     -> prints the folder they lie in
    python3 .ci/debian.py bookworm --arch arm64 python3.11-minimal libstdc++6 --with-dependencies

The archive is the one that this machine's own apt uses, its signatures are checked by the machine's Debian keyring, and
what was fetched once is found again in ~/.cache/acwskd-edge ($ACWSKD_CACHE). Exit code 1, with one line, where there is
no apt or the archive has no such package.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = Path("/etc/apt")


def cache() -> Path:
    """Where fetched tools lie, outside the tree."""
    home = os.environ.get("ACWSKD_CACHE")
    return Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "acwskd-edge"


def archive(sources: Path = SOURCES) -> str:
    """The URI of Debian's main archive in the machine's apt sources, one-line or deb822.

    Raises:
        LookupError: there is none.
    """
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    text = "\n".join(
        one.read_text(errors="replace") for one in files if one.suffix in (".list", ".sources") and one.is_file()
    )
    found = re.findall(r"^(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+/debian/?)(?:\s|$)", text, re.MULTILINE)
    if not found:
        raise LookupError("this machine's apt has no Debian archive")
    return str(found[0])


def fetch(suite: str, packages: list[str], arch: str, dependencies: bool) -> Path:
    """Download and unpack; returns the folder, from the cache if it is there.

    Raises:
        LookupError: no apt here, no such package, or the archive is out of reach.
    """
    name = "+".join([suite, arch, *packages, *(["deps"] if dependencies else [])])
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    final = cache() / "debian" / f"{suite}-{arch}-{packages[0]}-{digest}"
    if final.is_dir():
        return final
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise LookupError("needs apt-get and dpkg-deb")
    final.parent.mkdir(parents=True, exist_ok=True)
    with final.with_name(f".{final.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two may ask at once
        if not final.is_dir():
            unpack(final, suite, packages, arch, dependencies)
    return final


def unpack(final: Path, suite: str, packages: list[str], arch: str, dependencies: bool) -> None:
    """Download into a folder of its own, which takes its name when it is whole."""
    work = Path(tempfile.mkdtemp(dir=final.parent, prefix=".new-"))
    try:
        work.chmod(0o755)  # apt's own user reads there
        options = isolated(work, suite, arch)
        run(["apt-get", *options, "update"])
        verb = ["install", "--yes", "--no-install-recommends", "--download-only"] if dependencies else ["download"]
        run(["apt-get", *options, *verb, *packages], cwd=work)
        debs = [*work.glob("*.deb"), *(work / "cache/archives").glob("*.deb")]
        (work / "root").mkdir()
        for deb in debs:
            run(["dpkg-deb", "-x", str(deb), str(work / "root")])
        (work / "root").replace(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def isolated(work: Path, suite: str, arch: str) -> list[str]:
    """Options that give apt sources, lists, cache and state of its own in `work`."""
    for folder in ("lists/partial", "cache/archives/partial", "empty"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive()} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": work / "empty",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "Acquire::Check-Valid-Until": "false",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def run(command: list[str], cwd: Path | None = None) -> None:
    """Run quietly.

    Raises:
        LookupError: it failed; the last line it wrote, without the archive's address.
    """
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        raise LookupError(f"{command[0]}: " + re.sub(r"\S+://\S+", "the archive", last))


def main() -> int:
    """Parse, fetch, print the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", help="bookworm, bullseye, trixie ...")
    parser.add_argument("packages", nargs="+")
    parser.add_argument("--arch", default="amd64", help="(amd64)")
    parser.add_argument("--with-dependencies", action="store_true", help="and all that these packages need")
    args = parser.parse_args()
    try:
        print(fetch(args.suite, args.packages, args.arch, args.with_dependencies))
    except LookupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
