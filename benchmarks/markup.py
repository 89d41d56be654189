"""Small pieces of HTML; every text that passes through is escaped here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.table import ratio_text, times


def document(title: str, body: str) -> str:
    """A whole page that needs nothing but itself; `body` is HTML."""
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def section(title: str, inner: str) -> str:
    """A heading and what is under it; `inner` is HTML."""
    return f"<section><h2>{escape(title)}</h2>\n{inner}</section>"


def bullets(texts: Iterable[str]) -> str:
    """A list of plain texts."""
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in texts) + "</ul>"


def definitions(facts: Mapping[str, object]) -> str:
    """Names and values."""
    items = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape('unknown' if value is None else str(value))}</dd>"
        for key, value in facts.items()
    )
    return f"<dl>{items}</dl>"


def number(text: str, below: str = "", kind: str = "") -> str:
    """A right-aligned cell with, optionally, a smaller second line."""
    second = f'<span class="sub">{escape(below)}</span>' if below else ""
    return f'<td class="{f"num {kind}".strip()}">{escape(text)}{second}</td>'


def ratio_cell(found: dict[str, Any] | None) -> str:
    """A speed ratio with its interval."""
    if found is None or found["ci95"] is None:
        return number(times(found))
    return number(times(found), " to ".join(ratio_text(value) for value in found["ci95"]))


def table(caption: str, head: list[str], lines: list[str], numeric: Collection[int]) -> str:
    """A table; `lines` are HTML rows, `numeric` the columns whose headers align right."""
    kinds = ["wrap num" if i in numeric else "" for i in range(len(head))]
    cells = "".join(
        f'<th scope="col" class="{kind}">{breakable(text)}</th>' for kind, text in zip(kinds, head, strict=True)
    )
    return (
        f"<table><caption><span>{escape(caption)}</span></caption>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody></table>"
    )


def breakable(text: str) -> str:
    """Escaped, with places where a long dotted name may break."""
    return escape(text).replace(".", ".<wbr>").replace("_", "_<wbr>")


def scroll(inner: str, label: str) -> str:
    """A container that scrolls sideways by itself, with the keyboard too, so that the page never does."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">{inner}</div>'
