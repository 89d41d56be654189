"""Layers by name, and what int8 leaves alone with them."""

from __future__ import annotations

import pytest

from acwskd_edge.errors import RefusedError
from acwskd_edge.models import build_model
from convert.layers import Layer, Node, layers_of, left_out

LAYERS = [Layer("a", (8, 1, 3, 3)), Layer("b", (8, 8, 3, 3)), Layer("up", (8, 4, 2, 2)), Layer("c", (4, 12, 3, 3))]
# a -> b -> pool -> up -> join(b, up) -> c -> head, the transposed convolution's weights in another order.
LAYERS.append(Layer("head", (2, 4, 1, 1)))
NODES = [
    Node("a", ("image", "a.weight"), (8, 1, 3, 3)),
    Node("b", ("a", "b.weight"), (8, 8, 3, 3)),
    Node("pool", ("b",)),
    Node("up", ("pool",), (4, 8, 2, 2)),
    Node("join", ("b", "up")),
    Node("c", ("join",), (4, 12, 3, 3)),
    Node("head", ("c",), (2, 4, 1, 1)),
]


def test_layers_come_in_the_order_in_which_they_run() -> None:
    names = [one.name for one in layers_of(build_model("s2d16", 1, 4), (1, 1, 32, 32))]
    assert names[:3] == ["entry.0", "down.0.0", "down.0.3"]
    assert names[9:13] == ["up.0", "merge.0.0", "merge.0.3", "up.1"]
    assert names[-1] == "head"


def test_first_and_last_are_left_out() -> None:
    assert left_out(NODES, [], ()) == {"a", "head"}


def test_what_only_a_kept_layer_reads_goes_with_it() -> None:
    assert left_out(NODES, LAYERS, ["c"]) == {"a", "head", "c", "join"}
    assert left_out(NODES, LAYERS, ["up"]) == {"a", "head", "up", "pool"}
    assert left_out(NODES, LAYERS, ["b"]) == {"a", "head", "b"}


def test_a_graph_of_other_convolutions_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"5 convolutions are not the network's 4 layers in order"):
        left_out(NODES, LAYERS[:-1], ["b"])
    with pytest.raises(RefusedError, match="not the network's"):
        left_out(NODES, [LAYERS[0], LAYERS[3], LAYERS[2], LAYERS[1], LAYERS[4]], ["b"])
