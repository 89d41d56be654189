"""Every error a user can meet, as one readable line.

AcwskdError                 exit code 1
├── UsageError              exit code 2: the input or the command line is wrong
│   ├── DataError           a scan, a label or a data-set folder
│   ├── ContractError       contract.json or a recipe
│   └── MissingDependency   a package or tool this command needs
└── RefusedError            exit code 3: the input is readable but must not be used
    ├── GateError           an artefact lost accuracy
    └── TamperedError       a bundle whose bytes are not the ones it was sealed with
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class AcwskdError(Exception):
    """Says what was given, what is allowed and what to do next, in one line.

    Args:
        what: the fact, naming the file or value at fault.
        allowed: what would have been accepted.
        hint: the next command or action.
    """

    exit_code = 1

    def __init__(self, what: str, *, allowed: str | None = None, hint: str | None = None) -> None:
        self.what, self.allowed, self.hint = what, allowed, hint
        parts = [what]
        if allowed:
            parts.append(f"allowed: {allowed}")
        if hint:
            parts.append(f"next: {hint}")
        super().__init__("; ".join(" ".join(part.split()) for part in parts))


class UsageError(AcwskdError):
    """The command line or a file it names is wrong."""

    exit_code = 2


class DataError(UsageError):
    """A scan, a label or a data-set folder cannot be used."""


class ContractError(UsageError):
    """A contract or a recipe does not follow its schema."""


class MissingDependency(UsageError):
    """A package or tool is absent; the hint is the command that installs it."""


class RefusedError(AcwskdError):
    """The input is readable, but using it would be wrong."""

    exit_code = 3


class GateError(RefusedError):
    """A converted artefact is worse than the checkpoint by more than was allowed."""


class TamperedError(RefusedError):
    """The bytes of a bundle differ from those it was sealed with."""


def exit_with(main: Callable[[], int]) -> int:
    """Run a command; print a user's mistake as one line on stderr and return the exit code."""
    try:
        code = main()
        sys.stdout.flush()
        return code
    except AcwskdError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: the same command continues where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, `head` perhaps, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
