"""Time the engine, one picture at a time: writes time_engine.json.

Copy in, compute and copy out from CUDA events on one stream, the compute replayed as a CUDA graph; `call` is the whole
from the host's array to the host's mask by the host's clock. Milliseconds. For steady figures fix power mode and clocks
first: sudo nvpmodel -m ID (grep POWER_MODEL /etc/nvpmodel.conf lists them), then sudo jetson_clocks.
Exit codes: 0 ok, 4 TensorRT or CUDA is missing, 5 too little memory, 6 the engine is of another machine, 1 other.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import trt_common as common
from preflight import power_mode

WARM_UP, RUNS = 50, 500
PARTS = ("copy_in", "compute", "copy_out")


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p90, p99 and mean of milliseconds."""
    found = {f"p{p}": round(float(np.percentile(values, p)), 4) for p in (50, 90, 99)}
    return {**found, "mean": round(float(np.mean(values)), 4)}


def measure(engine: common.Engine, batch: Any) -> dict[str, list[float]]:
    """Milliseconds of each part and of the whole call, one value a run."""
    cuda = engine.cuda
    samples: dict[str, list[float]] = {name: [] for name in (*PARTS, "call")}
    events = [cuda.pointer("cudaEventCreate") for _ in range(4)]
    for run in range(WARM_UP + RUNS):
        started = time.perf_counter()
        engine(batch)
        call = (time.perf_counter() - started) * 1e3
        for i, part in enumerate((engine.copy_in, engine.launch, engine.copy_out)):
            cuda.call("cudaEventRecord", events[i], engine.stream)
            part()
        cuda.call("cudaEventRecord", events[3], engine.stream)
        engine.synchronize()
        if run >= WARM_UP:
            samples["call"].append(call)
            for i, name in enumerate(PARTS):
                samples[name].append(cuda.milliseconds(events[i], events[i + 1]))
    return samples


def main() -> int:
    """Load, measure, write."""
    out = common.out_folder(__doc__ or "")
    kit, built = common.open_kit(), common.read_json(out / "build.json")
    path = common.built_engine(out, kit, built)
    before = common.read_json(out / "time_engine.json")
    same = {"key": kit["key"], "engine_sha256": built["fingerprint"]["engine_sha256"], "power_mode": power_mode()}
    if before and all(before.get(name) == value for name, value in same.items()):
        print("time: up to date")
        return 0
    engine = common.load_engine(path, "python3 build.py", bool(kit["rtx"]))
    contract = common.read_json(common.HERE / "contract.json")
    pixels = np.load(str(common.HERE / "golden" / kit["golden"][0] / "pixels.npy"), allow_pickle=False)
    found = measure(engine, common.network_input(pixels, contract, kit["io"]))
    results = {
        **same,
        "engine": path.name,
        "runs": RUNS,
        "warm_up": WARM_UP,
        "cuda_graph": engine.graph is not None,
        "bytes_in": engine.host_in.nbytes,
        "bytes_out": engine.host_out.nbytes,
        "milliseconds": {name: percentiles(values) for name, values in found.items()},
        "fps": round(1e3 / float(np.median(found["call"])), 1),
    }
    common.write_json(out / "time_engine.json", results)
    told = results["milliseconds"]
    parts = ", ".join("{} {:.3f}".format(name, told[name]["p50"]) for name in PARTS)
    print("time: {:.3f} ms a picture at p50 ({}), {} a second".format(told["call"]["p50"], parts, results["fps"]))
    return 0


if __name__ == "__main__":
    sys.exit(common.exit_with(main))
