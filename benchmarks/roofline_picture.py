"""The roofline as a picture: MACs a byte against MACs a second, both axes logarithmic."""

from __future__ import annotations

import io
from typing import Any

from benchmarks.pictures import COLOURS, FILLS, GREY, MARKERS

KINDS = ("onnxruntime:fp32", "onnxruntime:int8", "litert:fp32", "litert:int8")


def draw(rows: list[dict[str, Any]], peaks: dict[str, Any], copies: list[dict[str, float]]) -> str:
    """SVG: one roof per runtime and precision, the bandwidth of cache and memory, one marker per artefact."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "acwskd", "font.size": 10}):
        figure = Figure(figsize=(8.6, 5.8), layout="constrained")
        axes = figure.subplots()
        ratios = [row["macs_per_byte"] for row in rows]
        left, right = min(ratios) / 4, max(ratios) * 4
        draw_roofs(axes, peaks, copies, left, right)
        draw_points(axes, rows)
        highest = max(peaks[kind]["peak_gmacs"] for kind in KINDS)
        lowest = min([row["gmacs"] for row in rows] + [left * copies[-1]["gb_per_s"]])
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(lowest / 1.5, highest * 1.6))
        axes.set(xlabel="MACs a byte moved (exported graph)", ylabel="GMAC/s, one thread (FLOP/s: twice as many)")
        axes.set_title("Each artefact under its runtime's own peak; per cent: share of its roof", fontsize=10)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.grid(True, which="both", lw=0.3, alpha=0.35)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def draw_roofs(axes: Any, peaks: dict[str, Any], copies: list[dict[str, float]], left: float, right: float) -> None:
    """Horizontal lines of the kernels' peaks, slanted ones of the bandwidth up to the highest of them."""
    highest = max(peaks[kind]["peak_gmacs"] for kind in KINDS)
    fastest = max(copies, key=lambda one: one["gb_per_s"])
    for style, where, copy in (("-", "memory", copies[-1]), ("--", "cache", fastest)):
        end = highest / copy["gb_per_s"]
        start = min(left, end / 100)
        axes.plot([start, end], [start * copy["gb_per_s"], highest], ls=style, color=GREY, lw=1, label=where)
    legend = [f"memory, {copies[-1]['gb_per_s']:.0f} GB/s", f"cache, {fastest['gb_per_s']:.0f} GB/s"]
    axes.legend(legend, title="copy", loc="lower right", fontsize=8, title_fontsize=8)
    for index, kind in enumerate(KINDS):
        peak, colour = peaks[kind]["peak_gmacs"], COLOURS[index]
        axes.axhline(peak, color=colour, lw=1, alpha=0.8)
        above = kind.startswith("onnxruntime")  # the two runtimes' peaks often coincide
        axes.annotate(
            f"{kind} {peak:.0f}",
            (right, peak),
            xytext=(-3, 3 if above else -10),
            textcoords="offset points",
            fontsize=8,
            ha="right",
            color=colour,
        )


def draw_points(axes: Any, rows: list[dict[str, Any]]) -> None:
    """One marker per artefact; names above and below in turns, so that neighbours stay readable."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    for row in rows:
        kind = f"{row['runtime']}:{'int8' if row['precision'] in ('int8', 'mixed') else 'fp32'}"
        colour = COLOURS[KINDS.index(kind)]
        axes.scatter(
            [row["macs_per_byte"]],
            [row["gmacs"]],
            s=52,
            marker=MARKERS[row["runtime"]],
            facecolor=colour + FILLS.get(row["precision"], "00"),
            edgecolor=colour,
            zorder=3,
        )
        right = row["runtime"] == "onnxruntime"
        axes.annotate(
            f"{row['model']} {row['of_roof']:.0%}",
            (row["macs_per_byte"], row["gmacs"]),
            xytext=(6 if right else -6, 5 if models.index(row["model"]) % 2 else -11),
            textcoords="offset points",
            ha="left" if right else "right",
            fontsize=7,
            color=colour,
        )
