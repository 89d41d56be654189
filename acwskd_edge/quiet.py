"""Silence for third-party tools that print what no user can act on."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def quiet_output(*, replay: bool = True) -> Iterator[None]:
    """Swallow what is printed, from Python and from C++; `replay` shows it after all when the block fails.

    File descriptors 1 and 2 belong to the whole process, so no other thread should be printing meanwhile.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            with redirect_stdout(log), redirect_stderr(log):
                yield
        except BaseException:
            if replay:
                log.flush()
                log.seek(0)
                os.write(saved[1], log.read().encode())
            raise
        finally:
            for descriptor, old in zip((1, 2), saved, strict=True):
                os.dup2(old, descriptor)
                os.close(old)
