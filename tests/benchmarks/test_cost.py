from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acwskd_edge.contract import Contract, Intensity, Label
from acwskd_edge.models import build_model
from benchmarks.cost import cost_of, macs, parameters

CHANNELS, CLASSES, SIDE = 1, 4, 64


def conv(side: int, cin: int, cout: int, k: int) -> int:
    """Hout*Wout*Cout*Cin*k*k; `side` is that of the output."""
    return side * side * cout * cin * k * k


def hand_count(width: int, levels: int, stem: int) -> int:
    """MACs of our U-Net, written out from its definition."""
    total, cin, side = 0, CHANNELS, SIDE // stem
    if stem == 2:
        total += conv(side, CHANNELS, width, 6)
        cin = width
    widths = [width * 2**i for i in range(levels)]
    for level, cout in enumerate(widths):
        s = side >> level
        total += conv(s, cin, cout, 3) + conv(s, cout, cout, 3)
        cin = cout
    for level in range(levels - 2, -1, -1):
        w, s = widths[level], side >> level
        total += (s // 2) ** 2 * w * (2 * w) * 2 * 2  # transposed: Hin*Win*Cin*Cout*k*k
        total += conv(s, 2 * w, w, 3) + conv(s, w, w, 3)
    return total + conv(side, width, CLASSES, 1)


@pytest.mark.parametrize(("name", "width", "levels", "stem"), [("unet8", 8, 5, 1), ("s2d16", 16, 4, 2)])
def test_macs_equal_a_hand_count(name: str, width: int, levels: int, stem: int) -> None:
    with torch.device("meta"):
        network = build_model(name, CHANNELS, CLASSES)
    assert macs(network, CHANNELS, SIDE, SIDE) == hand_count(width, levels, stem)


def test_the_count_is_the_same_where_it_is_computed_for_real() -> None:
    network = build_model("unet8", CHANNELS, CLASSES)
    assert macs(network, CHANNELS, SIDE, SIDE) == hand_count(8, 5, 1)


def test_parameters_leave_running_statistics_out() -> None:
    assert parameters(torch.nn.BatchNorm2d(7)) == 14


def test_a_contract_of_an_unknown_model_has_no_cost() -> None:
    labels = tuple(Label(k, f"class {k}", (0, 0, 0)) for k in range(CLASSES))
    intensity = Intensity(0.0, 255.0, (64.0,), (64.0,))
    contract = Contract("x", "MR", SIDE, SIDE, 1, "uint8", "letterbox", intensity, labels, None, "none")
    assert cost_of(contract) == {"parameters": None, "macs": None}
    known = cost_of(replace(contract, provenance={"model": "unet8"}))
    assert known["macs"] == hand_count(8, 5, 1)
