"""Files that are never half-written: hashes, atomic replacement, one writer at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acwskd_edge.errors import RefusedError, UsageError


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part.

    Raises:
        UsageError: the folder cannot be written (read-only, full, no permission).
    """
    payload = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", hint="choose another output folder") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(
                f"cannot write {path} ({error.strerror})", hint="free disk space or choose another folder"
            ) from error
        raise


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, keys in the order given."""
    write_atomic(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Fill a temporary folder; on success it takes the place of `final` in one step, on an error it vanishes.

    A run killed between the two renames leaves `<final>.old`; the next call puts it back first.
    """
    restore_folder(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        for leftover in final.parent.glob(f".{final.name}.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.new-"))
    except OSError as error:
        raise UsageError(
            f"cannot write into {final.parent} ({error.strerror})", hint="choose another output folder"
        ) from error
    try:
        yield work
        work.chmod(0o755)
        old = final.with_name(final.name + ".old")
        if final.exists():
            final.replace(old)
        work.replace(final)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def restore_folder(final: Path) -> None:
    """Undo a replacement that was killed halfway."""
    final = final.absolute()
    old = final.with_name(final.name + ".old")
    if old.exists() and not final.exists():
        old.replace(final)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; a folder that was made for it and stayed empty is removed again.

    Raises:
        RefusedError: another process is writing there.
        UsageError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("w")
    except OSError as error:
        raise UsageError(f"cannot write into {folder} ({error.strerror})", hint="choose another folder") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RefusedError(
                f"another command is writing into {folder}", hint="wait for it, or choose another folder"
            ) from error
        try:
            yield
        finally:
            if [one.name for one in folder.iterdir()] == [".lock"]:
                shutil.rmtree(folder)
