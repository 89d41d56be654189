"""Everything that a machine computes of a bundle and of the contract's golden vectors, to compare machines to the bit.

    python tests/demos/answers.py BUNDLE VECTORS OUT.npz

Needs numpy and LiteRT.
"""

from __future__ import annotations

import platform
import sys
import warnings
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from acwskd_edge import runtimes
from acwskd_edge.bundle import open_bundle
from acwskd_edge.contract import Contract
from acwskd_edge.evaluate import feed
from acwskd_edge.preprocess import mask_of, normalise, to_grid, to_image


def of_bundle(where: str) -> dict[str, NDArray[np.generic]]:
    """`logits/<artefact>/<golden>` of every TFLite file, `int8/...` of every integer inside the quantised one."""
    bundle = open_bundle(where)
    found = {}
    for one in (one for one in bundle.artefacts if one.target == "tflite"):
        runtime = runtimes.load(one.runtime, bundle.path(one))
        for golden in bundle.golden():
            batch = feed(golden.pixels, bundle.contract, one.io)
            found[f"logits/{one.id}/{golden.name}"] = runtime(batch)
            if one.precision == "int8":
                found[f"int8/{one.id}/{golden.name}"] = integers(bundle.path(one), batch)
    return found


def integers(path: Path, batch: NDArray[np.generic]) -> NDArray[np.int8]:
    """All int8 activations of one pass, in the file's order; its first and last layers are float32."""
    with warnings.catch_warnings(action="ignore"):  # that keeping all tensors is for debugging
        interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_preserve_all_tensors=True)
    before = {one["index"] for one in interpreter.get_tensor_details()}
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch.transpose(0, 2, 3, 1))
    interpreter.invoke()
    activations = [
        interpreter.get_tensor(one["index"])
        for one in interpreter.get_tensor_details()
        if one["index"] in before and one["dtype"] is np.int8 and one["shape"][0] == 1 and len(one["shape"]) == 4
    ]
    return np.concatenate([one.ravel() for one in activations])


def of_vectors(folder: Path) -> dict[str, NDArray[np.generic]]:
    """`pixels/<vector>`, `input/<vector>` and `mask/<vector>`, from the vectors' images and logits."""
    found: dict[str, NDArray[np.generic]] = {}
    for place in sorted(folder.iterdir()):
        contract = Contract.load(place / "contract.json")
        image, logits = np.load(place / "image.npy"), np.load(place / "logits.npy")
        pixels = to_grid(image, contract)
        found[f"pixels/{place.name}"] = pixels
        found[f"input/{place.name}"] = normalise(pixels, contract).transpose(0, 2, 3, 1)
        found[f"mask/{place.name}"] = to_image(mask_of(logits)[0], contract, image.shape[0], image.shape[1])
    return found


if __name__ == "__main__":
    answers = of_bundle(sys.argv[1]) | of_vectors(Path(sys.argv[2]))
    np.savez(sys.argv[3], machine=np.array(platform.machine()), **answers)
