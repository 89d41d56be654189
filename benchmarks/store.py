"""What a benchmark has measured so far, so that a killed or failed one continues."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from acwskd_edge.files import write_json

NAME = "measurements.json"
SECTIONS = ("fresh", "executed", "latency")


class Store:
    """A JSON file of sections, each key -> facts; written whole, atomically, at every addition."""

    def __init__(self, folder: Path, *, empty: bool = False) -> None:
        self.path = folder / NAME
        self.sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        if not empty:
            self.sections |= self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        """What is there; a damaged file counts as none, for all it holds can be measured again."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: found[name] for name in SECTIONS if isinstance(found.get(name), dict)}

    def get(self, section: str, key: str) -> Any:
        """Facts, or None."""
        return self.sections[section].get(key)

    def put(self, section: str, key: str, facts: Any) -> None:
        """Add and write."""
        self.put_all(section, {key: facts})

    def put_all(self, section: str, facts: dict[str, Any]) -> None:
        """Add several and write once."""
        self.sections[section] |= facts
        write_json(self.path, self.sections)

    def clear(self, section: str) -> None:
        """Forget a section: rows timed in one run are compared with each other, not with those of another."""
        self.sections[section] = {}
        write_json(self.path, self.sections)


def digest(*facts: Any) -> str:
    """Hex SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
