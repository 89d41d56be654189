"""`--install APP`: what a demo app needs of a sealed bundle, as a smaller sealed bundle where the app reads it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acwskd_edge.errors import UsageError
from acwskd_edge.files import new_folder, write_json

if TYPE_CHECKING:
    from acwskd_edge.bundle import Artefact, Bundle

ROOT = Path(__file__).parent.parent
GOLDEN = 2  # slices an app proves itself on at its first launch; their logits are the larger part of a small bundle
MEASURED = (
    "id",
    "bytes",
    "dice",
    "checkpoint_dice",
    "dice_change",
    "argmax_agreement",
    "max_logit_error",
    "golden",
    "verdict",
)
MOST = 100_000_000  # bytes; what a phone can be asked to download


@dataclass(frozen=True)
class App:
    """A demo: where its bundle lies, what it can run, and how to go on."""

    place: Path
    target: str
    next: str


APPS: dict[str, App] = {
    "web_demo": App(ROOT / "web_demo/bundle", "tflite", "make web-demo"),
    "android_demo": App(
        ROOT / "android_demo/app/src/main/assets/bundle", "tflite", "open android_demo in Android Studio"
    ),
    "ios_demo": App(ROOT / "ios_demo/App/Bundle", "coreml", "open ios_demo/AcwskdDemo.xcodeproj in Xcode"),
}


def find_app(name: str) -> App:
    """An app by its folder's name.

    Raises:
        UsageError: no such app.
    """
    if name not in APPS:
        raise UsageError(f"unknown app {name!r}", allowed=", ".join(APPS))
    return APPS[name]


def install(run: Path, names: list[str]) -> None:
    """Put what passed into the apps named; see `install_one`."""
    from acwskd_edge.bundle import open_bundle

    for name in names:
        print("\n".join(install_one(open_bundle(run), name)))


def install_one(bundle: Bundle, name: str) -> list[str]:
    """Put a bundle's artefacts, contract and golden vectors into an app; returns lines to print.

    The copy holds the artefacts of the app's target with io tensor, whose preprocessing the app does itself, and is a
    bundle like any other: `acwskd-edge verify` and the app check the same hashes. What was there before is replaced in
    one step.

    Raises:
        UsageError: an unknown app, no artefact that it can run, or more than a phone should carry.
    """
    from acwskd_edge.bundle import open_bundle, seal

    app = find_app(name)
    chosen = [one for one in bundle.artefacts if one.target == app.target and one.io == "tensor"]
    if not chosen:
        held = ", ".join(one.id for one in bundle.artefacts) or "none"
        raise UsageError(
            f"{bundle.root} holds nothing that {name} can run ({held})",
            allowed=f"target {app.target}, io tensor",
            hint=f"--target {app.target} --precision all --install {name}",
        )
    golden = bundle.golden()[:GOLDEN]
    sizes = {one.id: int(bundle.measured(one)["bytes"]) for one in chosen}
    if sum(sizes.values()) > MOST:
        raise UsageError(
            f"{', '.join(f'{key} {size / 1e6:.1f} MB' for key, size in sizes.items())} for a phone",
            allowed=f"{MOST / 1e6:.1f} MB in all",
            hint="fewer precisions, or a smaller model",
        )
    with new_folder(app.place) as folder:
        for one in chosen:
            source, place = bundle.path(one), folder / one.path
            place.parent.mkdir(parents=True, exist_ok=True)
            _ = shutil.copytree(source, place) if source.is_dir() else shutil.copyfile(source, place)
        for slice_ in golden:
            slice_.save(folder / "golden")
        shutil.copyfile(bundle.root / "contract.json", folder / "contract.json")
        write_json(folder / "report.json", report_for(bundle, chosen))
        seal(folder, chosen)
    open_bundle(app.place)
    shown = ", ".join(f"{key} ({size / 1e6:.2f} MB)" for key, size in sizes.items())
    data = bundle.contract.provenance.get("data", "its data set")
    lines = [f"{name}: {shown}, {len(golden)} golden vectors, in {relative(app.place)}"]
    if data != "phantom":
        lines.append(f"  its golden vectors are images of {data}: do not give them away with the app unless you may")
    return [*lines, f"  next: {app.next}"]


def report_for(bundle: Bundle, chosen: list[Artefact]) -> dict[str, object]:
    """What was measured on the chosen artefacts; nothing that names a case."""
    checkpoint, gate = bundle.report["checkpoint"], bundle.report["gate"]
    return {
        "checkpoint": {key: checkpoint[key] for key in ("sha256", "mean_dice")},
        "gate": {key: value for key, value in gate.items() if key != "cases"},
        "artefacts": [{key: bundle.measured(one).get(key) for key in MEASURED} for one in chosen],
    }


def relative(path: Path) -> Path:
    """From where the user stands, if it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
