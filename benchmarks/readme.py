"""`python -m benchmarks.readme`: do the tables of README and docs say what their results files do? `--write` helps."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import RefusedError, UsageError, exit_with
from acwskd_edge.files import write_atomic
from benchmarks.table import text_table

EXAMPLES = """
python -m benchmarks.readme
python -m benchmarks.readme --write
"""
ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs/results.md")
BLOCK = re.compile(r"(\[results file\]\((?P<file>[^)]+\.json)\)\.?\n+```\n)(?P<table>.*?)(\n```)", re.DOTALL)
"""A link to a report, and under it a block that holds its table."""


def rendered(text: str, root: Path) -> str:
    """The page with every table made again from the results file above it.

    Raises:
        UsageError: no table, or a results file that is absent.
    """
    if not BLOCK.search(text):
        raise UsageError("no [results file](...json) with a table under it", hint="restore the page")

    def table(found: re.Match[str]) -> str:
        path = root / found["file"]
        if not path.is_file():
            raise UsageError(f"no results file {path}", hint="commit it, or name another one in the page")
        return found[1] + text_table(json.loads(path.read_text(encoding="utf-8"))).rstrip() + found[4]

    return BLOCK.sub(table, text)


def main() -> int:
    """Compare or write."""
    parser = Parser("python -m benchmarks.readme", __doc__ or "", EXAMPLES)
    parser.add_argument("--write", action="store_true", help="replace the tables")
    args = parser.parse_args()
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        wanted = rendered(text, page.parent)
        if wanted != text:
            stale.append(page.name)
            if args.write:
                write_atomic(page, wanted)
    if stale and not args.write:
        raise RefusedError(f"stale tables: {', '.join(stale)}", hint="python -m benchmarks.readme --write")
    print(f"tables written: {', '.join(stale)}" if stale else "all tables are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
