"""`python -m benchmarks.similarity RUN_A RUN_B -o FILE.png`: how alike two networks find the classes, side by side.

Above, the cosine between class vectors: the mean of the penultimate feature over a class's true pixels, over all cases.
Below, the voxel confusion: of a class's true voxels, the share that was given each class.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acwskd_edge.contract import Contract
    from acwskd_edge.evaluate import Prepared
    from acwskd_edge.models.taps import Tapped

EXAMPLES = """
python -m benchmarks.similarity runs/plain runs/student -o runs/similarity.png
python -m benchmarks.similarity runs/plain runs/student --data acdc:data/acdc -o runs/similarity.png
"""
CELL = 0.42  # inches
READABLE = 20  # classes up to which every cell has its number


@dataclass(frozen=True)
class Similarity:
    """What one network makes of the classes; NaN where no case has the class."""

    name: str  # of its run
    classes: list[str]  # with background
    cosine: NDArray[np.float64]  # (K, K) between class vectors
    confusion: NDArray[np.float64]  # (K, K) truth x prediction, a row sums to 1

    def pairs(self) -> list[tuple[str, str, float]]:
        """Cosine of every pair of foreground classes that occur, most alike first."""
        names, found = self.classes, []
        for i in range(1, len(names)):
            found += [(names[i], names[j], float(self.cosine[i, j])) for j in range(i + 1, len(names))]
        return sorted((one for one in found if one[2] == one[2]), key=lambda one: -one[2])

    def mean_cosine(self) -> float:
        """Over the pairs of foreground classes; NaN with fewer than two."""
        values = [cosine for *_, cosine in self.pairs()]
        return sum(values) / len(values) if values else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """JSON; absent values are null."""

        def plain(value: float) -> float | None:
            return round(float(value), 6) if value == value else None

        return {
            "run": self.name,
            "mean_pair_cosine": plain(self.mean_cosine()),
            "pairs": [{"classes": [a, b], "cosine": plain(cosine)} for a, b, cosine in self.pairs()],
            "cosine": [[plain(value) for value in row] for row in self.cosine],
            "confusion": [[plain(value) for value in row] for row in self.confusion],
        }


def measure(name: str, network: Tapped, contract: Contract, cases: list[Prepared]) -> Similarity:
    """Class vectors and confusion of a network, slice by slice.

    The truth is averaged onto the penultimate feature's grid, so that a pixel there may belong to several classes in
    part; confusion is counted on the cases' own grids.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    from acwskd_edge.preprocess import label_to_grid, mask_of, normalise, to_image

    count = contract.classes
    channels = network.feature_channels[-1]
    total, area = torch.zeros(count, channels, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    table = np.zeros((count, count))
    for one in cases:
        truth = one.case.label
        assert truth is not None
        for pixels, label in zip(one.pixels, truth, strict=True):
            with torch.inference_mode():
                taps = network.taps(torch.from_numpy(normalise(pixels, contract)))
            feature = taps.penultimate[0].double()
            on_grid = torch.from_numpy(label_to_grid(label, contract).astype(np.int64))
            share = F.one_hot(on_grid, count).movedim(-1, 0).double()
            share = F.adaptive_avg_pool2d(share, (feature.shape[1], feature.shape[2]))
            total += torch.einsum("khw,chw->kc", share, feature)
            area += share.sum(dim=(1, 2))
            given = to_image(mask_of(taps.logits.numpy())[0], contract, *label.shape)
            pairs = label.astype(np.int64) * count + given
            table += np.bincount(pairs.ravel(), minlength=count**2).reshape(count, count)
    vectors = total / area[:, None]  # NaN for a class that no case has
    directions = (vectors / vectors.norm(dim=1, keepdim=True)).numpy()
    rows = table.sum(axis=1, keepdims=True)
    confusion = np.where(rows > 0, table / np.maximum(rows, 1), np.nan)
    return Similarity(name, [label.name for label in contract.labels], directions @ directions.T, confusion)


def draw(before: Similarity, after: Similarity) -> bytes:
    """PNG: class-pair cosines above, confusion below, one network a column, one colour scale."""
    from matplotlib.figure import Figure

    from train.plots import png

    count = len(before.classes)
    side = max(3.2, CELL * count)
    figure = Figure(figsize=(2 * side + 4.0, 2 * side + 2.4), layout="constrained")
    axes = figure.subplots(2, 2)
    low = min(0.0, *(float(one.cosine[one.cosine == one.cosine].min(initial=0.0)) for one in (before, after)))
    for column, one in enumerate((before, after)):
        heading = f"{one.name}\nclass-vector cosine, foreground pairs' mean {one.mean_cosine():.3f}"
        for row, (title, values) in enumerate(((heading, one.cosine), ("voxel confusion", one.confusion))):
            ax = axes[row][column]
            shown = ax.imshow(values, vmin=low, vmax=1.0, cmap="viridis")
            ax.set_title(title, fontsize=10)
            ax.set_xticks(range(count), one.classes, rotation=90, fontsize=8)
            ax.set_yticks(range(count), one.classes if column == 0 else [""] * count, fontsize=8)
            ax.set_xlabel("class" if row == 0 else "predicted")
            if column == 0:
                ax.set_ylabel("class" if row == 0 else "truth")
            if count <= READABLE:
                write_numbers(ax, values, (1.0 + low) / 2)
    figure.colorbar(shown, ax=axes, shrink=0.5, label="cosine, or share of the true voxels (cells: hundredths)")
    return png(figure)


def write_numbers(ax: Any, values: NDArray[np.float64], middle: float) -> None:
    """Every cell's value as hundredths, dark on light cells and light on dark ones."""
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if value == value:
                color = "black" if value > middle else "white"
                ax.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color=color)


def load(run: Path) -> tuple[Tapped, Contract, str]:
    """A finished run's network, its contract and where its data was.

    Raises:
        UsageError: not a finished run, or a network that does not show its features.
    """
    import yaml

    from acwskd_edge.models.taps import Tapped
    from acwskd_edge.runtimes.torch_eager import load_network
    from train.state import WEIGHTS

    network, contract = load_network(run / WEIGHTS)
    if not isinstance(network, Tapped):
        raise UsageError(f"{run} holds a network without named features", allowed="models of acwskd_edge.models.MODELS")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    return network, contract, recipe["data"]


def main() -> int:
    """Parse, measure both runs, write the picture and the numbers beside it."""
    parser = Parser("python -m benchmarks.similarity", __doc__ or "", EXAMPLES)
    parser.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="two finished runs: before, after")
    parser.add_argument("--data", help="kind:path, if the runs' data has moved")
    parser.add_argument("--split", choices=["train", "val"], default="val", help="whose cases (val)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.png", help="numbers go to FILE.json")
    args = parser.parse_args()
    if args.output.suffix != ".png":
        raise UsageError(f"-o {args.output}", allowed="FILE.png")

    from acwskd_edge.data import cases_in, open_data
    from acwskd_edge.evaluate import prepare
    from acwskd_edge.files import write_atomic, write_json

    loaded = [load(run) for run in args.runs]
    if loaded[0][1].labels != loaded[1][1].labels:
        raise UsageError(f"{args.runs[0]} and {args.runs[1]} know other labels", hint="compare runs of one data set")
    found = []
    for run, (network, contract, where) in zip(args.runs, loaded, strict=True):
        data = open_data(args.data or where)
        found.append(measure(str(run), network, contract, prepare(data, cases_in(data, args.split), contract)))
    write_atomic(args.output, draw(*found))
    numbers = args.output.with_suffix(".json")
    write_json(numbers, {"split": args.split, "classes": found[0].classes, "runs": [one.to_dict() for one in found]})
    for one in found:
        a, b, cosine = one.pairs()[0] if one.pairs() else ("-", "-", float("nan"))
        print(f"{one.name}: mean cosine of class pairs {one.mean_cosine():.3f}; most alike {a} and {b} {cosine:.3f}")
    print(f"{args.output} and {numbers}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
