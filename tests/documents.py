"""What a device answers with, against its published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

import benchmarks.device

SCHEMA = json.loads((Path(benchmarks.device.__file__).parent / "document.schema.json").read_text())


def check_document(document: dict[str, Any]) -> None:
    """As it is written to disk."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA, cls=jsonschema.Draft202012Validator)
