"""The bundle: what leaves the workshop. A folder, sealed by a manifest, never trusted before its hashes are checked.

contract.json                how to feed the network and read its output
report.json                  what was measured on each artefact, and the gate's verdict
golden/<name>/*.npy          image -> pixels -> logits -> mask, from the checkpoint
onnx/ tflite/ coreml/        the artefacts, one per precision and io
manifest.json                the artefacts and the SHA-256 of every other file
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.errors import TamperedError, UsageError
from acwskd_edge.files import restore_folder, sha256, write_json

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artefact:
    """One file (or, for Core ML, folder) that a runtime can execute."""

    target: str  # onnx, tflite, coreml, jetson, rtx; trt: an engine that was built from a graph of jetson
    precision: str  # fp32, fp16, int8, mixed (int8 but for some layers) ...; see convert/targets
    io: str  # tensor: normalised float32 -> logits; raw: pixels -> mask
    runtime: str  # a key of RUNTIMES
    path: str  # relative to the bundle

    @property
    def id(self) -> str:
        """For instance `tflite-int8` or `onnx-fp32-raw`."""
        return f"{self.target}-{self.precision}" + ("-raw" if self.io == "raw" else "")


@dataclass(frozen=True)
class Golden:
    """One slice followed through the checkpoint."""

    name: str
    image: NDArray[np.generic]  # (H, W) or (H, W, C), as in the case
    pixels: NDArray[np.generic]  # (h, w, C), the contract's pixel dtype, on the network's grid
    logits: NDArray[np.float32]  # (1, K, h, w)
    mask: NDArray[np.uint8]  # (H, W), on the image's grid

    def save(self, folder: Path) -> None:
        """One .npy per array, so that any language can read them."""
        for part in ("image", "pixels", "logits", "mask"):
            (folder / self.name).mkdir(parents=True, exist_ok=True)
            np.save(folder / self.name / f"{part}.npy", getattr(self, part), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Golden:
        """Read what `save` wrote."""
        parts = {
            part: np.load(folder / f"{part}.npy", allow_pickle=False) for part in ("image", "pixels", "logits", "mask")
        }
        return cls(folder.name, **parts)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: hashes and schema have been checked."""

    root: Path
    contract: Contract
    artefacts: tuple[Artefact, ...]
    report: dict[str, Any]

    def path(self, artefact: Artefact) -> Path:
        """Where an artefact lies."""
        return self.root / artefact.path

    def golden(self) -> list[Golden]:
        """All golden vectors, by name."""
        return [Golden.load(folder) for folder in sorted((self.root / "golden").iterdir())]

    def find(self, artefact_id: str) -> Artefact:
        """An artefact by id.

        Raises:
            UsageError: no such artefact; names those there are.
        """
        for one in self.artefacts:
            if one.id == artefact_id:
                return one
        raise UsageError(
            f"{self.root} has no artefact {artefact_id!r}", allowed=", ".join(one.id for one in self.artefacts)
        )

    def measured(self, artefact: Artefact) -> dict[str, Any]:
        """The artefact's entry in report.json."""
        for entry in [*self.report.get("artefacts", []), *self.report.get("engines", [])]:
            if entry.get("id") == artefact.id:
                return dict(entry)
        raise TamperedError(f"{self.root}/report.json says nothing about {artefact.id}", hint="convert again")


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST)


def seal(root: Path, artefacts: list[Artefact]) -> None:
    """Write the manifest over everything in the folder."""
    files = {str(path.relative_to(root)): sha256(path) for path in _files(root)}
    write_json(root / MANIFEST, {"schema": SCHEMA, "artefacts": [asdict(one) for one in artefacts], "files": files})


def open_bundle(where: str | Path) -> Bundle:
    """Open a bundle, or the bundle inside a run folder, after checking schema and hashes.

    Raises:
        UsageError: no bundle there, or one of another schema.
        TamperedError: a file is missing, added or changed; names it.
    """
    root = Path(where)
    for place in (root, root / "bundle"):
        restore_folder(place)
    if not (root / MANIFEST).is_file() and (root / "bundle" / MANIFEST).is_file():
        root = root / "bundle"
    if not (root / MANIFEST).is_file():
        raise UsageError(
            f"no bundle at {where}",
            allowed="a folder with manifest.json, or a run folder that was converted",
            hint=f"python -m convert {where} --target all",
        )
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise UsageError(f"{root}: bundle schema {manifest['schema']!r}", allowed=str(SCHEMA))
        artefacts = tuple(Artefact(**{k: str(v) for k, v in one.items()}) for one in manifest["artefacts"])
        sealed = {str(name): str(value) for name, value in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TamperedError(f"{root}/{MANIFEST} is malformed ({error})", hint="convert or copy again") from error
    _check_files(root, sealed, artefacts)
    report = json.loads((root / "report.json").read_text(encoding="utf-8"))
    return Bundle(root, Contract.load(root / "contract.json"), artefacts, report)


def _check_files(root: Path, sealed: dict[str, str], artefacts: tuple[Artefact, ...]) -> None:
    present = {str(path.relative_to(root)) for path in _files(root)}
    trouble = [f"{name} is missing" for name in sorted(set(sealed) - present)]
    trouble += [f"{name} was added" for name in sorted(present - set(sealed))]
    trouble += [f"{name} was changed" for name in sorted(present & set(sealed)) if sha256(root / name) != sealed[name]]
    trouble += [f"{name} is not sealed" for name in ("contract.json", "report.json") if name not in sealed]
    for one in artefacts:
        if ".." in Path(one.path).parts or not (root / one.path).exists():
            trouble.append(f"artefact {one.id} is missing")
    if trouble:
        shown = ", ".join(trouble[:3]) + (f" and {len(trouble) - 3} more" if len(trouble) > 3 else "")
        raise TamperedError(
            f"bundle {root} was tampered with: {shown}", hint="copy it again or convert again; do not run it"
        )
