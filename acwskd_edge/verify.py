"""Check a bundle on the machine it will run on: preprocessing apart from runtimes, so that a failure says which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acwskd_edge import runtimes
from acwskd_edge.bundle import Artefact, Bundle, Golden
from acwskd_edge.contract import Contract
from acwskd_edge.errors import AcwskdError, MissingDependency
from acwskd_edge.evaluate import feed
from acwskd_edge.preprocess import mask_of, to_grid, to_image

FP32_LOGIT_ERROR = 1e-3  # an fp32 artefact is the checkpoint in another file format, so it must agree
AGREEMENT_SLACK = 0.005  # other machines round otherwise: an int8 tie may fall to the other side


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    name: str
    state: str  # ok, FAILED or skipped
    detail: str


def verify(bundle: Bundle) -> list[Check]:
    """Run the golden vectors through the preprocessing and through every artefact that can run here."""
    golden = bundle.golden()
    checks = [Check("files", "ok", "hashes and schema"), check_preprocessing(golden, bundle.contract)]
    for artefact in bundle.artefacts:
        try:
            checks.append(check_artefact(bundle, artefact, golden))
        except MissingDependency as error:
            checks.append(Check(artefact.id, "skipped", str(error)))
        except AcwskdError as error:
            checks.append(Check(artefact.id, "FAILED", str(error)))
    return checks


def check_preprocessing(golden: list[Golden], contract: Contract) -> Check:
    """Image -> pixels must be exact; so must logits -> mask."""
    wrong = [one.name for one in golden if not np.array_equal(to_grid(one.image, contract), one.pixels)]
    for one in golden:
        mask = to_image(mask_of(one.logits)[0], contract, one.image.shape[0], one.image.shape[1])
        if not np.array_equal(mask, one.mask):
            wrong.append(f"{one.name} (mask)")
    if wrong:
        return Check("preprocessing", "FAILED", f"differs from the golden vectors: {', '.join(wrong)}")
    return Check("preprocessing", "ok", f"{len(golden)} golden vectors, exact")


def check_artefact(bundle: Bundle, artefact: Artefact, golden: list[Golden]) -> Check:
    """Run one artefact on the golden pixels; it must agree as well as it did when it was made."""
    run = runtimes.load(artefact.runtime, bundle.path(artefact))
    measured = bundle.measured(artefact)["golden"]
    equal, pixels, error = 0, 0, 0.0
    for one in golden:
        wanted = mask_of(one.logits)[0]
        output = run(feed(one.pixels, bundle.contract, artefact.io))
        if artefact.io == "tensor":
            error = max(error, float(np.abs(np.asarray(output, np.float32) - one.logits).max()))
        mask = output[0] if artefact.io == "raw" else mask_of(output)[0]
        equal += int((mask == wanted).sum())
        pixels += wanted.size
    agreement = equal / pixels
    needed = max(0.0, float(measured["argmax_agreement"]) - AGREEMENT_SLACK)
    detail = f"{artefact.runtime}: argmax agreement {agreement:.5f} (needed {needed:.5f})"
    if artefact.io == "tensor":
        detail += f", logit error {error:.1e}"
    # NaN compares false, so both conditions are written to fail on it.
    exact = artefact.precision != "fp32" or artefact.io == "raw" or error <= FP32_LOGIT_ERROR
    return Check(artefact.id, "ok" if agreement >= needed and exact else "FAILED", detail)
