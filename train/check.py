"""`python -m train data-check`: what is in a data set, and all that is wrong with it, before a run is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import DataError

if TYPE_CHECKING:
    from acwskd_edge.data import Case, DataSet, Split

EXAMPLES = """
python -m train data-check --data phantom
python -m train data-check --data synapse:data/synapse
python -m train data-check --data folder:data/polyps
"""
NARROW = 0.02  # a case whose values span less of the contract's window is in another unit


@dataclass
class Findings:
    """Everything the report prints; filled a case at a time."""

    cases: dict[Split, set[str]]  # fewer than three cases are in every split
    patients: dict[Split, set[str]]
    slices: dict[Split, int]
    voxels: list[int]  # per class
    found_in: dict[Split, list[int]]  # per class: in how many cases
    shapes: set[tuple[int, ...]] = field(default_factory=set)  # (D, H, W)
    spacings: list[tuple[float, float, float]] = field(default_factory=list)  # mm
    unspaced: int = 0  # cases without spacing
    low: float = float("inf")  # of all pixels, as read
    high: float = float("-inf")
    pixels: int = 0
    below: int = 0  # pixels below and above the contract's window
    above: int = 0
    seen: dict[str, tuple[str, Split]] = field(default_factory=dict)  # SHA-256 of an image -> case and split
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main(words: list[str]) -> int:
    """Parse, then import what is heavy.

    Raises:
        DataError: something is wrong; it was printed above.
    """
    parser = Parser("python -m train data-check", __doc__ or "", EXAMPLES)
    kinds = "phantom, flare22, acdc, synapse, synapse-cascade, m2caiseg, folder"
    parser.add_argument("--data", required=True, help=f"kind:path; kinds: {kinds}")
    spec = parser.parse_args(words).data

    from acwskd_edge.data import open_data
    from train.recipe import shipped

    data = open_data(spec)
    findings = examine(data)
    print("\n".join(report(spec, data, findings)))
    if findings.wrong:
        raise DataError(
            f"{len(findings.wrong)} thing(s) wrong with {spec}, listed above", hint="repair or remove them, check again"
        )
    recipe = data.kind if data.kind in shipped() else "student"
    print(f"next: python -m train --recipe {recipe} --data {spec}")
    return 0


def examine(data: DataSet) -> Findings:
    """Load every case; a broken one is noted and the next one read."""
    from tqdm import tqdm

    from acwskd_edge.data import SPLITS
    from acwskd_edge.data.case import FEW

    classes, few = range(len(data.labels)), len(data.ids()) < FEW
    findings = Findings(
        cases={split: {one for one in data.ids() if few or data.split_of(one) == split} for split in SPLITS},
        patients={split: set() for split in SPLITS},
        slices=dict.fromkeys(SPLITS, 0),
        voxels=[0 for _ in classes],
        found_in={split: [0 for _ in classes] for split in SPLITS},
    )
    for one in tqdm(data.ids(), "cases", disable=None):
        try:
            add(findings, data, data.load(one))
        except DataError as error:
            findings.wrong.append(str(error))
    conclude(findings, data)
    return findings


def add(findings: Findings, data: DataSet, case: Case) -> None:
    """Count one case and note what is wrong with it."""
    import hashlib

    import numpy as np

    image, window = case.image, data.intensity
    if case.label is None:
        raise DataError(f"case {case.id}: no label")
    channels = 1 if image.ndim == 3 else image.shape[3]
    if channels != data.channels:
        raise DataError(f"case {case.id}: {channels} channel(s)", allowed=str(data.channels))
    findings.shapes.add(case.label.shape)
    if case.spacing is None:
        findings.unspaced += 1
    else:
        findings.spacings.append(case.spacing)
    counts = np.bincount(case.label.ravel(), minlength=len(data.labels))
    for k, count in enumerate(counts.tolist()):
        findings.voxels[k] += count
    splits = [split for split, ids in findings.cases.items() if case.id in ids]
    for split in splits:
        findings.patients[split].add(case.patient)
        findings.slices[split] += len(image)
        for k in counts.nonzero()[0].tolist():
            findings.found_in[split][k] += 1
    if not counts[1:].any():
        findings.notes.append(f"case {case.id} holds background only")

    low, high = float(image.min()), float(image.max())
    findings.low, findings.high = min(findings.low, low), max(findings.high, high)
    findings.pixels += image.size
    findings.below += int(np.count_nonzero(image < window.low))  # type: ignore[operator]
    findings.above += int(np.count_nonzero(image > window.high))  # type: ignore[operator]
    limits = np.iinfo(data.pixel)
    if low < limits.min or high > limits.max:
        findings.wrong.append(f"case {case.id}: values from {low:g} to {high:g} do not fit {data.pixel}")
    if high <= window.low or low >= window.high:
        findings.wrong.append(f"case {case.id}: values from {low:g} to {high:g} lie outside the window, {shown(data)}")
    elif high - low < NARROW * (window.high - window.low):
        findings.wrong.append(
            f"case {case.id}: values from {low:g} to {high:g} span almost nothing of the window, {shown(data)}: "
            "another unit, or an empty picture"
        )
    digest, split = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(), data.split_of(case.id)
    other, its = findings.seen.setdefault(digest, (case.id, split))
    if other != case.id:
        same = f"case {case.id} ({split}) has the very image of {other} ({its})"
        if split == its:
            findings.notes.append(same)
        else:
            findings.wrong.append(f"{same}: a leak")


def conclude(findings: Findings, data: DataSet) -> None:
    """What only the whole tells: empty splits, patients in two, classes without an example."""
    from itertools import combinations

    from acwskd_edge.data.case import FEW

    if data.warning:
        findings.notes.append(data.warning)
    for split, ids in findings.cases.items():
        if not ids:
            (findings.notes if split == "test" else findings.wrong).append(f"no case in the {split} split")
    for one, two in combinations(findings.patients, 2):
        both = sorted(findings.patients[one] & findings.patients[two])
        if both and len(data.ids()) >= FEW:
            findings.wrong.append(f"patient(s) {', '.join(both[:5])} in {one} and in {two}")
    for label in data.labels[1:]:
        found = {split: counts[label.id] for split, counts in findings.found_in.items()}
        missing = [split for split in ("val", "test") if findings.cases[split] and not found[split]]
        if not any(found.values()):
            findings.notes.append(f"{label.name}: in no case")
        elif not found["train"]:
            findings.wrong.append(f"{label.name}: in no training case, so it cannot be learned")
        elif missing:
            findings.notes.append(f"{label.name}: in no {' and no '.join(missing)} case, so no Dice for it there")
    if findings.spacings and findings.unspaced:
        findings.wrong.append(f"{findings.unspaced} case(s) without spacing among others with it")


def shown(data: DataSet) -> str:
    """The contract's window, as text."""
    unit = " HU" if data.modality == "CT" else ""
    return f"{data.intensity.low:g} to {data.intensity.high:g}{unit}"


def report(spec: str, data: DataSet, findings: Findings) -> list[str]:
    """Lines to print."""
    lines = [
        f"{spec}: {len(data.ids())} case(s), {data.modality}, {data.channels} channel(s), {data.pixel}",
        "",
        f"{'split':<10}{'cases':>8}{'patients':>10}{'slices':>9}",
    ]
    for split, ids in findings.cases.items():
        lines.append(f"{split:<10}{len(ids):>8}{len(findings.patients[split]):>10}{findings.slices[split]:>9}")
    splits = list(findings.cases)
    lines += ["", f"{'class':<26}{'voxels':>14}{'share':>9}   cases in " + "".join(f"{split:>7}" for split in splits)]
    voxels = max(1, sum(findings.voxels))
    for label in data.labels:
        count = findings.voxels[label.id]
        held = "".join(f"{findings.found_in[split][label.id]:>7}" for split in splits)
        lines.append(f"{label.id:>3} {label.name:<22}{count:>14,}{count / voxels:>9.3%}{'':>12}{held}")
    lines.append("")
    if findings.shapes:
        sides = [sorted(side) for side in zip(*findings.shapes, strict=True)]
        depth, rows, columns = (span(side[0], side[-1], "") for side in sides)
        lines.append(f"size       {depth} slice(s) of {rows} rows, {columns} columns")
        lines.append("spacing    " + spacing_line(findings))
        below, above = (count / findings.pixels for count in (findings.below, findings.above))
        lines.append(
            f"intensity  {findings.low:g} to {findings.high:g}; window {shown(data)}: {below:.1%} of the pixels below, "
            f"{above:.1%} above"
        )
    lines += [f"note: {one}" for one in findings.notes]
    lines += [f"wrong: {one}" for one in findings.wrong]
    return lines


def spacing_line(findings: Findings) -> str:
    """Ranges in mm, or why there are none."""
    if not findings.spacings:
        return "not known: distances are in pixels"
    axes = zip(*findings.spacings, strict=True)
    between, rows, columns = (span(min(axis), max(axis), " mm") for axis in axes)
    return f"{between} between slices, {rows} between rows, {columns} between columns"


def span(low: float, high: float, unit: str) -> str:
    """`a` or `a to b`."""
    return (f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}") + unit
