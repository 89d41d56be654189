"""Pictures of the report: Dice against latency, and slices with the truth and what each model made of them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Contract
from acwskd_edge.data import DataSet
from acwskd_edge.evaluate import Prepared, Segment, prepare
from acwskd_edge.metrics import dice_per_class, mean_skipping_nan
from acwskd_edge.picture import encode_png, overlay, to_grey
from acwskd_edge.preprocess import to_image

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # Okabe and Ito: told apart by colour-blind readers
MARKERS = {
    "torch": "s",
    "torch-compile": "P",
    "onnxruntime": "o",
    "litert": "^",
    "openvino": "v",
    "openvino-default": "X",
    "tensorrt": "*",
}
FILLS = {"fp32": "ff", "fp16": "66", "int8": "00"}  # opacity of the fill
GREY = "#808080"
INK = "#010203"  # stands for currentColor, which matplotlib does not know
SIDE = 320  # pixels; larger overlays are reduced to it
ENOUGH = 0.25  # a slice may be called the worst only with this share of the case's largest truth area


PerCase = dict[str, dict[str, float | None]]
"""Case id -> class name -> Dice."""


@dataclass(frozen=True)
class Strip:
    """One slice: its pictures side by side."""

    case: str
    slice: int
    why: str
    pictures: list[tuple[str, str]]  # caption, data URI


AXES: dict[str, tuple[str, Callable[[dict[str, Any]], float | None]]] = {
    "Dice against latency": (
        "median latency of the network, ms (log)",
        lambda row: row["latency"] and row["latency"]["median_ms"],
    ),
    "Dice against the whole way": (
        "median from raw pixels to mask, ms (log)",
        lambda row: row["end_to_end"] and row["end_to_end"]["median_ms"],
    ),
    "Dice against size": ("size on disk, MB (log)", lambda row: row["bytes"] / 1e6),
}
"""Title -> label of the horizontal axis, and where a row's value comes from."""


def plots(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Rows of report.json -> title -> inline SVG; a title without a point is left out."""
    drawn = {title: pareto_svg(rows, title) for title in AXES}
    return {title: svg for title, svg in drawn.items() if svg}


def pareto_svg(rows: list[dict[str, Any]], title: str) -> str:
    """One of `AXES` as inline SVG: Dice over a cost (log), area by size, the front; empty without a point."""
    import matplotlib
    from matplotlib.figure import Figure

    label, value = AXES[title]
    known = [row for row in rows if row["dice"] and row["dice"]["mean"] is not None and row["verdict"] != "rejected"]
    shown = [(cost, row) for row in known if (cost := value(row))]
    if not shown:
        return ""
    models = list(dict.fromkeys(row["model"] for row in rows))
    style = {f"{part}.color": INK for part in ("text", "xtick", "ytick")} | {"axes.labelcolor": INK}
    fixed = {"svg.fonttype": "none", "svg.hashsalt": "acwskd", "font.size": 10, "axes.edgecolor": INK}
    with matplotlib.rc_context(style | fixed):
        figure = Figure(figsize=(6.6, 4.8), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        draw_front(axes, [(cost, row["dice"]["mean"]) for cost, row in shown])
        draw_points(axes, shown, models)
        axes.set_xlabel(label)
        draw_legend(axes, [row for _, row in shown], models)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue().replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}, one point per row" ', 1)


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, Dice) pairs that no other pair beats in both, from the cheapest on."""
    best: list[tuple[float, float]] = []
    for cost, dice in sorted(points, key=lambda one: (one[0], -one[1])):
        if not best or dice > best[-1][1]:
            best.append((cost, dice))
    return best


def draw_front(axes: Any, points: list[tuple[float, float]]) -> None:
    """A dotted staircase under what is worth having."""
    best = front(points)
    costs, dice = zip(*best, strict=True)
    axes.step([*costs, max(cost for cost, _ in points)], [*dice, dice[-1]], where="post", color=GREY, lw=1, ls=":")


def draw_points(axes: Any, shown: list[tuple[float, dict[str, Any]]], models: list[str]) -> None:
    """One marker per row; the large ones first, so that none hides another."""
    for cost, row in sorted(shown, key=lambda one: (-one[1]["bytes"], one[1]["id"])):
        colour = COLOURS[models.index(row["model"]) % len(COLOURS)]
        axes.scatter(
            [cost],
            [row["dice"]["mean"]],
            s=30 + 40 * np.sqrt(row["bytes"] / 1e6),
            marker=MARKERS.get(row["runtime"], "D"),
            facecolor=colour + FILLS.get(row["precision"], "00"),
            edgecolor=colour,
            linewidth=1.2,
        )
    axes.set(xscale="log", ylabel="mean Dice")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.margins(x=0.1, y=0.2)
    axes.grid(True, which="both", linewidth=0.4, alpha=0.35)


def draw_legend(axes: Any, shown: list[dict[str, Any]], models: list[str]) -> None:
    """Colour is the model, shape the runtime, fill the precision, area the size on disk."""
    from matplotlib.lines import Line2D

    def entry(label: str, marker: str, color: str, fill: str) -> Line2D:
        return Line2D([], [], marker=marker, ls="", markeredgecolor=color, markerfacecolor=fill, label=label)

    colours = [COLOURS[k % len(COLOURS)] for k in range(len(models))]
    columns = [
        [entry(name, "o", colour, colour) for name, colour in zip(models, colours, strict=True)],
        [entry(one, MARKERS.get(one, "D"), INK, "none") for one in dict.fromkeys(row["runtime"] for row in shown)],
        [entry(one, "o", GREY, GREY + fill) for one, fill in FILLS.items() if one in {r["precision"] for r in shown}],
    ]
    for place, handles in zip(("left", "center", "right"), columns, strict=True):
        axes.figure.legend(handles=handles, loc=f"outside upper {place}", frameon=False, fontsize=9)


def choose_cases(student: PerCase, baseline: PerCase) -> list[tuple[str, str]]:
    """Cases to show and why: the worst two, the one that lost most against the baseline, the median, the best."""

    def mean(table: PerCase, case: str) -> float:
        return float(mean_skipping_nan(np.array([np.nan if v is None else v for v in table[case].values()])))

    ranked = sorted((case for case in student if not np.isnan(mean(student, case))), key=lambda c: mean(student, c))
    if not ranked:
        return []
    chosen = {ranked[0]: "worst case"}
    if len(ranked) > 1:
        chosen.setdefault(ranked[1], "second worst")
    shared = [case for case in ranked if case in baseline and not np.isnan(mean(baseline, case))]
    if shared:
        chosen.setdefault(min(shared, key=lambda c: mean(student, c) - mean(baseline, c)), "lost most to the baseline")
    chosen.setdefault(ranked[len(ranked) // 2], "median")
    chosen.setdefault(ranked[-1], "best")
    return [(case, f"{why}, Dice {mean(student, case):.3f}") for case, why in chosen.items()]


def strips(data: DataSet, chosen: list[tuple[str, str]], models: dict[str, tuple[Contract, Segment]]) -> list[Strip]:
    """The chosen cases: image, truth and each model's mask on one slice; the first model decides which is worst."""
    return [one_strip(data, case, why, models) for case, why in chosen]


def one_strip(data: DataSet, case: str, why: str, models: dict[str, tuple[Contract, Segment]]) -> Strip:
    """One case; see `strips`."""
    masks: dict[str, NDArray[np.uint8]] = {}
    for name, (contract, segment) in models.items():
        prepared = prepare(data, [case], contract)[0]
        masks[name] = on_image(prepared, segment, contract)
    contract, truth, image = next(iter(models.values()))[0], prepared.case.label, prepared.case.image
    assert truth is not None
    index = choose_slice(truth, next(iter(masks.values())), contract, worst="worst" in why)
    pictures = [("image", to_grey(image[index], contract)), ("truth", overlay(image[index], truth[index], contract))]
    pictures += [(name, overlay(image[index], mask[index], contract)) for name, mask in masks.items()]
    return Strip(case, index, why, [(caption, data_uri(picture)) for caption, picture in pictures])


def on_image(prepared: Prepared, segment: Segment, contract: Contract) -> NDArray[np.uint8]:
    """Masks (D, H, W) of a case on its own grid."""
    height, width = prepared.case.image.shape[1:3]
    return np.stack([to_image(mask, contract, height, width) for mask in segment(prepared.pixels)])


def choose_slice(truth: NDArray[np.uint8], pred: NDArray[np.uint8], contract: Contract, *, worst: bool) -> int:
    """The slice with the most truth or, of those with at least `ENOUGH` of that, the one of the lowest Dice."""
    area = (truth > 0).sum(axis=(1, 2))
    if not worst:
        return int(area.argmax())
    dice = [
        float(mean_skipping_nan(dice_per_class(pred[i], truth[i], contract.classes)))
        if area[i] >= max(1, ENOUGH * area.max())
        else np.inf
        for i in range(len(truth))
    ]
    return int(np.argmin(dice))


def data_uri(picture: NDArray[np.uint8]) -> str:
    """(H, W, 3) red, green, blue -> PNG data URI, no side longer than `SIDE`."""
    scale = SIDE / max(picture.shape[:2])
    if scale < 1:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode()
