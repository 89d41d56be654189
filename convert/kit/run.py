"""Run the engine on the golden vectors and on the validation cases, and judge it: writes run.json.

The gate compares Dice per case and class with the checkpoint's own on the same cases: if the mean or any class loses
more than kit.json allows, the engine is refused. A finished run of the same kit and engine is recognised.
Exit codes: 0 passed, 3 refused, 4 TensorRT or CUDA is missing, 5 too little memory, 6 the engine is of another machine,
1 anything else.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import trt_common as common

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(*parts: str) -> NDArray[Any]:
    """An array of the kit."""
    return np.asarray(np.load(str(common.HERE.joinpath(*parts)), allow_pickle=False))


def golden(engine: common.Engine, kit: dict[str, Any], contract: dict[str, Any]) -> dict[str, Any]:
    """Agreement with the checkpoint on the golden vectors, and the largest logit error where there are logits."""
    equal, pixels, error, finite = 0, 0, 0.0, True
    for name in kit["golden"]:
        logits = read("golden", name, "logits.npy")
        output = engine(common.network_input(read("golden", name, "pixels.npy"), contract, kit["io"]))
        wanted = common.mask_of(logits, "tensor")
        equal += int((common.mask_of(output, kit["io"]) == wanted).sum())
        pixels += wanted.size
        if kit["io"] == "tensor":
            finite &= bool(np.isfinite(output).all())
            error = max(error, float(np.abs(output.astype(np.float32) - logits).max()))
    result: dict[str, Any] = {"argmax_agreement": round(equal / max(1, pixels), 6)}
    if kit["io"] == "tensor":
        result["max_logit_error"] = float(f"{error:.4g}") if finite else None
    return result


def dice(mask: NDArray[Any], truth: NDArray[Any], label: int) -> float | None:
    """Dice of one class over a whole case; None where the truth has no such class."""
    wanted = truth == label
    if not wanted.any():
        return None
    found = mask == label
    return round(2 * int((found & wanted).sum()) / (int(found.sum()) + int(wanted.sum())), 6)


def segment(engine: common.Engine, kit: dict[str, Any], contract: dict[str, Any], folder: str) -> NDArray[Any]:
    """Masks (D, H, W) of a case, on its own grid."""
    rows, columns = read(folder, "rows.npy"), read(folder, "columns.npy")
    masks = []
    for pixels in read(folder, "pixels.npy"):
        mask = common.mask_of(engine(common.network_input(pixels, contract, kit["io"])), kit["io"])
        masks.append(mask[rows[:, None], columns[None, :]])
    return np.stack(masks)


def mean(values: list[float | None]) -> float | None:
    """Of those that are there."""
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None


def with_mean(classes: list[str], per_class: dict[str, float | None]) -> dict[str, float | None]:
    """The mean over classes first."""
    return {"mean": mean([per_class[name] for name in classes]), **per_class}


def over_cases(classes: list[str], cases: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Dice per class, averaged over the cases that have the class, their mean first."""
    return with_mean(classes, {name: mean([one[name] for one in cases]) for name in classes})


def difference(after: dict[str, float | None], before: dict[str, float | None]) -> dict[str, float | None]:
    """Of what both have: negative is worse."""
    pairs = {name: (after[name], before[name]) for name in after}
    return {name: None if a is None or b is None else a - b for name, (a, b) in pairs.items()}


def rounded(values: dict[str, float | None]) -> dict[str, float | None]:
    """Six decimals, for JSON."""
    return {name: None if one is None else round(one, 6) for name, one in values.items()}


def judge(kit: dict[str, Any], change: dict[str, float | None], golden_facts: dict[str, Any]) -> list[str]:
    """Why the engine is refused; empty if it passes."""
    gate, expected, reasons = kit["gate"], kit["expected"], []
    for name, value in change.items():
        if value is not None and value < -gate["max_dice_drop"]:
            reasons.append("Dice of {} drops by {:.4f} > {}".format(name, -value, gate["max_dice_drop"]))
    agreement = golden_facts["argmax_agreement"]
    if agreement < expected["argmax_agreement"]:
        reasons.append(
            "golden vectors agree in {:.5f} of pixels < {:.5f}".format(agreement, expected["argmax_agreement"])
        )
    if kit["io"] == "tensor":
        error, allowed = golden_facts["max_logit_error"], expected["max_logit_error"]
        if error is None:
            reasons.append("logits hold NaN or infinite values")
        elif allowed is not None and error > allowed:
            reasons.append(f"logits differ by {error:.2g} > {allowed:.2g}")
    return reasons


def main() -> int:
    """Run, judge, write."""
    out = common.out_folder(__doc__ or "")
    kit, built = common.open_kit(), common.read_json(out / "build.json")
    path = common.built_engine(out, kit, built)
    before = common.read_json(out / "run.json")
    same: dict[str, Any] = {name: kit[name] for name in ("key", "gate_key")}
    same["engine_sha256"] = built["fingerprint"]["engine_sha256"]
    if before and all(before.get(name) == value for name, value in same.items()):
        print("run: up to date ({})".format(before["verdict"]))
        return 0 if before["verdict"] == "passed" else common.REFUSED
    engine = common.load_engine(path, "python3 build.py", bool(kit["rtx"]))
    started, contract = time.monotonic(), common.read_json(common.HERE / "contract.json")
    classes, cases = kit["gate"]["classes"], kit["gate"]["cases"]
    golden_facts = golden(engine, kit, contract)
    per_case = []
    for one in cases:
        mask, truth = segment(engine, kit, contract, one["folder"]), read(one["folder"], "label.npy")
        per_case.append({name: dice(mask, truth, k + 1) for k, name in enumerate(classes)})
    found, wanted = over_cases(classes, per_case), over_cases(classes, [one["dice"] for one in cases])
    change = difference(found, wanted)
    reasons = judge(kit, change, golden_facts)
    verdict = "rejected" if reasons else "passed"
    results = {
        **same,
        "engine": path.name,
        "verdict": verdict,
        "reasons": reasons,
        "dice": rounded(found),
        "checkpoint_dice": rounded(wanted),
        "dice_change": rounded(change),
        "cases": {cases[i]["id"]: per_case[i] for i in range(len(cases))},
        "golden": golden_facts,
        "cuda_graph": engine.graph is not None,
        "seconds": round(time.monotonic() - started, 2),
    }
    common.write_json(out / "run.json", results)
    common.write_json(out / "layers.json", engine.layers())
    print("run: {} cases, mean Dice change {:+.4f}, {}".format(len(cases), change["mean"] or 0.0, verdict))
    if reasons:
        raise common.Trouble(
            common.REFUSED, "; ".join(reasons), "convert again with a higher --precision, or --precision auto"
        )
    return 0


if __name__ == "__main__":
    sys.exit(common.exit_with(main))
