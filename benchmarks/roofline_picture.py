"""The roofline as a picture: MACs a byte against MACs a second, both axes logarithmic."""

from __future__ import annotations

import io
from typing import Any

from benchmarks.pictures import COLOURS, FILLS, GREY, MARKERS

KIND_COLOURS = {"onnxruntime:fp32": 0, "onnxruntime:int8": 1, "litert:fp32": 2, "litert:int8": 3}


def draw(rows: list[dict[str, Any]], peaks: dict[str, Any], copies: list[dict[str, float]]) -> str:
    """SVG: one roof per runtime and precision, the bandwidth of cache and memory, one marker per artefact."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "acwskd", "font.size": 10}):
        figure = Figure(figsize=(8.6, 5.8), layout="constrained")
        axes = figure.subplots()
        ratios = [row["macs_per_byte"] for row in rows]
        left, right = min(ratios) / 3, max(*ratios, *(peak_of(peaks, kind) for kind in KIND_COLOURS)) * 2
        slopes = {"largest copy (memory)": copies[-1], "fastest copy (cache)": max(copies, key=lambda c: c["gb_per_s"])}
        for style, (label, copy) in zip(("-", "--"), slopes.items(), strict=True):
            highest = max(entry["peak_gmacs"] for kind, entry in peaks.items() if kind in KIND_COLOURS)
            end = highest / copy["gb_per_s"]
            axes.plot([left, end], [left * copy["gb_per_s"], highest], ls=style, color=GREY, lw=1)
            axes.annotate(
                f"{label}, {copy['gb_per_s']:.0f} GB/s",
                (left, left * copy["gb_per_s"]),
                xytext=(4, 6 if style == "--" else -12),
                textcoords="offset points",
                fontsize=8,
                color=GREY,
            )
        for kind, index in KIND_COLOURS.items():
            peak = peaks[kind]["peak_gmacs"]
            axes.axhline(peak, color=COLOURS[index], lw=1, alpha=0.8)
            axes.annotate(
                f"{kind} {peak:.0f}", (right, peak), xytext=(-2, 2), textcoords="offset points", fontsize=8, ha="right",
                color=COLOURS[index],
            )
        for row in rows:
            kind = f"{row['runtime']}:{'int8' if row['precision'] in ('int8', 'mixed') else 'fp32'}"
            colour = COLOURS[KIND_COLOURS[kind]]
            axes.scatter(
                [row["macs_per_byte"]],
                [row["gmacs"]],
                s=52,
                marker=MARKERS[row["runtime"]],
                facecolor=colour + FILLS.get(row["precision"], "00"),
                edgecolor=colour,
                zorder=3,
            )
            axes.annotate(
                f"{row['model']} {row['precision']} {row['of_roof']:.0%}",
                (row["macs_per_byte"], row["gmacs"]),
                xytext=(6, -3),
                textcoords="offset points",
                fontsize=7,
            )
        axes.set(xscale="log", yscale="log", xlim=(left, right))
        axes.set(xlabel="MACs a byte moved (exported graph)", ylabel="GMAC/s, one thread (FLOP/s: twice as many)")
        axes.set_title("Each artefact under its runtime's own peak; per cent: share of its roof", fontsize=10)
        axes.grid(True, which="both", lw=0.3, alpha=0.35)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def peak_of(peaks: dict[str, Any], kind: str) -> float:
    """GMAC/s, 1 where it was not measured."""
    return float(peaks.get(kind, {}).get("peak_gmacs", 1.0))
