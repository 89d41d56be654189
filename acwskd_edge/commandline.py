"""What the four command lines share; imports nothing heavy, so that --help is instant."""

from __future__ import annotations

import argparse
import textwrap
from typing import NoReturn

from acwskd_edge.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose mistakes are one line like every other error of ours."""

    def __init__(self, prog: str, description: str = "", examples: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog="examples:\n" + textwrap.indent(examples.strip(), "  ") if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a usage block."""
        raise UsageError(message, hint=f"{self.prog} --help")
