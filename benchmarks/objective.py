"""`python -m benchmarks.objective RUN ... -o FILE.csv`: is there anything to learn from what ACW-SKD builds?

A finished ACW-SKD run's last step, all three heads on the validation cases: the student's logits z, the reconstructed
logits z^ that it is taught with, and the auxiliary head's z_a. Dice on the cases' own grids; nll, the mean negative
log-likelihood of a pixel's true class on the network's grid, says which one knows better what it does not know. z^ and
z_a are made on a coarse grid and enlarged bilinearly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

if TYPE_CHECKING:
    from torch import Tensor

    from acwskd_edge.contract import Contract
    from acwskd_edge.distill.acw_skd import AcwSkd
    from acwskd_edge.evaluate import Prepared
    from acwskd_edge.models.taps import Tapped
    from benchmarks.collect import Row

EXAMPLES = """
python -m benchmarks.objective runs/student -o runs/student/objective.csv
python -m benchmarks.objective runs/sweeps/acdc/acw_skd/seed* --data acdc:data/acdc -o objective.csv
"""
HEADS = ("z", "z^", "z_a")


def load(run: Path) -> tuple[Tapped, AcwSkd, Contract, str]:
    """Network and objective as the last step left them, in eval mode, the contract and where the data was.

    Raises:
        UsageError: not a finished run, or one of another objective.
    """
    import yaml

    from acwskd_edge.contract import Contract
    from acwskd_edge.distill.acw_skd import AcwSkd
    from train.loop import new_modules, new_optimizer
    from train.recipe import from_dict
    from train.state import STATE, load_state

    if not (run / "validation.json").is_file() or not (run / STATE).is_file():
        raise UsageError(f"{run} is not a finished run", hint=f"python -m train --recipe student --out {run}")
    recipe = from_dict(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")), str(run / "recipe.yaml"))
    name = recipe.objective.get("name")
    if name != "acw_skd":
        raise UsageError(f"{run} was trained with {name}", allowed="runs of acw_skd")
    contract = Contract.load(run / "contract.json")
    network, objective = new_modules(recipe, contract)
    load_state(run / STATE, network, objective, new_optimizer(network, objective, recipe))
    assert isinstance(objective, AcwSkd)
    return network.eval(), objective.eval(), contract, recipe.data


def measure(network: Tapped, objective: AcwSkd, contract: Contract, cases: list[Prepared]) -> list[Row]:
    """One row a head: head, dice, dice_<class>, nll."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from acwskd_edge.evaluate import score
    from acwskd_edge.preprocess import label_to_grid, normalise
    from train.loop import segment_with_network

    class Head(torch.nn.Module):
        """One head as a network of its own: images (B, C, H, W) -> logits (B, K, H, W), float32."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name, self.network, self.objective = name, network, objective

        def forward(self, images: Tensor) -> Tensor:
            taps = self.network.taps(images)
            built = self.objective.build(self.network, taps)
            logits = {"z": taps.logits, "z^": built.target["logits"], "z_a": built.coarse_logits}[self.name]
            return F.interpolate(logits.float(), size=images.shape[-2:], mode="bilinear")

    rows = []
    for name in HEADS:
        head = Head(name)
        scores = score(segment_with_network(head, contract), cases, contract).to_dict()
        losses = []
        for one in cases:
            assert one.case.label is not None
            images = np.concatenate([normalise(piece, contract) for piece in one.pixels])
            truth = np.stack([label_to_grid(piece, contract) for piece in one.case.label]).astype(np.int64)
            with torch.inference_mode():
                losses.append(float(F.cross_entropy(head(torch.from_numpy(images)), torch.from_numpy(truth))))
        per_class = {f"dice_{label}": value for label, value in scores["dice"].items()}
        rows.append({"head": name, "dice": scores["mean_dice"], **per_class, "nll": round(float(np.mean(losses)), 6)})
    return rows


def main() -> int:
    """Parse, measure every run, write the CSV, print it."""
    parser = Parser("python -m benchmarks.objective", __doc__ or "", EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished runs of acw_skd")
    parser.add_argument("--data", help="kind:path, if the runs' data has moved")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.csv", help="CSV file to write")
    args = parser.parse_args()

    from acwskd_edge.data import cases_in, open_data
    from acwskd_edge.evaluate import prepare
    from acwskd_edge.files import write_atomic
    from benchmarks.collect import markdown, to_csv

    rows: list[Row] = []
    for run in args.runs:
        network, objective, contract, where = load(run)
        data = open_data(args.data or where)
        found = measure(network, objective, contract, prepare(data, cases_in(data, "val"), contract))
        temperature = round(objective.temperature(0.0).item(), 4)
        rows += [{"run": f"{run.parent.name}/{run.name}", **row, "temperature": temperature} for row in found]
    write_atomic(args.output, to_csv(rows))
    print(markdown(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
