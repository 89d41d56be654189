"""What every TensorRT job shares: finding TensorRT and CUDA, the fingerprint, the engine and its buffers, exit codes.

The library uses this file through runtimes/tensorrt.py, and a build kit carries a copy of it: so it imports nothing but
the standard library, numpy and the machine's own TensorRT, and runs on Python 3.8, numpy 1.17 and TensorRT 8.5 to 11.
CUDA is called through ctypes on libcudart and libcuda, which are there wherever TensorRT runs; nothing else is needed.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import hashlib
import importlib
import json
import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray  # came with numpy 1.21; JetPack 5 has 1.17

HERE = Path(__file__).resolve().parent
FAILED, REFUSED, NO_TENSORRT, NO_SPACE, MISMATCH = 1, 3, 4, 5, 6  # exit codes
RTX = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # import names of TensorRT-RTX, whose builder needs no GPU
INSTALL = "sudo apt-get install python3-libnvinfer-dev, or the python3 that JetPack came with"
INSTALL_RTX = "pip install tensorrt_rtx_cu12_bindings tensorrt_rtx_cu12_libs"
LAYER = r"LayerType: (\w+), Inputs: \[ \{.*?Datatype: (\w+)"  # of a built engine, in the builder's verbose words
OLDEST = (8, 5)  # of TensorRT, the first with inputs and outputs by name
TYPES: dict[str, Any] = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32, "UINT8": np.uint8}
"""TensorRT's names of types; its own `nptype` of 8.5 fails with numpy 1.24 and later."""
MARK = "acwskd-edge engine "  # before the fingerprint in the network's name, which TensorRT keeps in the engine
DEVICE = ("gpu", "compute_capability", "tensorrt", "cuda", "driver", "l4t")  # of a fingerprint, what the machine says


class Trouble(Exception):
    """What stops a job, as one line; `code` is the exit code."""

    def __init__(self, code: int, what: str, hint: str) -> None:
        self.code, self.what, self.hint = code, " ".join(what.split()), hint
        super().__init__(f"{self.what}; next: {hint}")


def exit_with(job: Callable[[], int]) -> int:
    """Run a job; print what stops it as one line on stderr, and return the exit code."""
    try:
        return job()
    except Trouble as trouble:
        code, line = trouble.code, str(trouble)
    except MemoryError:
        code, line = NO_SPACE, "out of memory; next: close other programs, or a smaller --workspace when converting"
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        code = NO_SPACE if full else FAILED
        line = "{}: {}; next: {}".format(
            error.filename or "kit",
            error.strerror or error,
            "free space, then the same command" if full else "see README.txt",
        )
    except KeyboardInterrupt:
        code, line = 130, "interrupted; next: the same command continues where it stopped"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        code, line = FAILED, f"{type(error).__name__}: {error} ({where}); next: report this line"
    print("error: " + " ".join(line.split()), file=sys.stderr)
    return code


def out_folder(purpose: str) -> Path:
    """The folder given by `--out`, else the kit's own."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--out", type=Path, default=HERE, help="where results go (the kit's folder)")
    return Path(parser.parse_args().out)


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write JSON atomically."""
    write_atomic(path, (json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file; empty if there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_kit(folder: Path = HERE) -> dict[str, Any]:
    """kit.json.

    Raises:
        Trouble: there is none of this schema.
    """
    kit = read_json(folder / "kit.json")
    if kit.get("schema") != 1:
        raise Trouble(FAILED, f"no kit.json of schema 1 in {folder}", "copy the whole kit again")
    return kit


def open_kit(folder: Path = HERE) -> dict[str, Any]:
    """kit.json, after checking every file against it.

    Raises:
        Trouble: no kit, or a file that is missing or was changed.
    """
    kit = read_kit(folder)
    for name, wanted in kit["files"].items():
        if not (folder / name).is_file() or sha256(folder / name) != wanted:
            raise Trouble(FAILED, f"{folder / name} is missing or was changed", "copy the whole kit again")
    return kit


def import_tensorrt(rtx: bool = False) -> Any:
    """The machine's TensorRT, or with `rtx` its TensorRT-RTX.

    Raises:
        Trouble: none can be imported, or it is too old.
    """
    reasons = []
    for name in RTX if rtx else ("tensorrt",):
        try:
            trt = importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            reasons.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            continue
        if name not in RTX and version_of(trt) < OLDEST:
            raise Trouble(
                NO_TENSORRT,
                f"TensorRT {trt.__version__} is too old: {OLDEST[0]}.{OLDEST[1]} or later is needed",
                "JetPack 5.1 or later, or python -m convert RUN --target onnx",
            )
        return trt
    wanted, python = "TensorRT-RTX" if rtx else "TensorRT", platform.python_version()
    told = f"{wanted} cannot be imported by Python {python} ({'; '.join(reasons)})"
    raise Trouble(NO_TENSORRT, told, INSTALL_RTX if rtx else INSTALL)


def version_of(trt: Any) -> tuple[int, int]:
    """Major and minor version."""
    major, minor = re.findall(r"\d+", trt.__version__)[:2]
    return int(major), int(minor)


def logger_of(trt: Any) -> Any:
    """A TensorRT logger that keeps warnings and errors, and the layers of a built engine, and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[tuple[str, str]] = []  # severity, words
            self.engine_layers: list[tuple[str, str]] = []  # kind, type of its first input; where the builder tells

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING):
                self.lines.append((str(severity).rsplit(".", 1)[-1], message))
            self.engine_layers += re.findall(LAYER, message)

        def errors(self) -> str:
            found = [message for severity, message in self.lines if severity != "WARNING"]
            return "; ".join(found[:3]) or "TensorRT gave no reason"

    return Log()


# --- CUDA


def load_library(names: tuple[str, ...]) -> Any:
    """The first of these shared libraries that is there, None if none is."""
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


LIBRARIES = "/usr/local/cuda/lib64/libcudart.so"
H2D, D2H = 1, 2  # cudaMemcpyKind
THREAD_LOCAL = 1  # cudaStreamCaptureMode
NON_BLOCKING = 1  # cudaStreamNonBlocking


class Cuda:
    """The calls of the CUDA runtime that an engine needs, by their own names.

    Raises:
        Trouble: no CUDA runtime, no driver, or no GPU.
    """

    def __init__(self) -> None:
        given = os.environ.get("ACWSKD_CUDART")
        names = tuple("libcudart.so" + suffix for suffix in (".12", ".13", ".11.0", ""))
        self.library = load_library(((given,) if given else ()) + names + (LIBRARIES,))
        if self.library is None:
            raise Trouble(
                NO_TENSORRT,
                "no CUDA runtime (libcudart) found",
                "sudo apt-get install nvidia-jetpack, or name the file: ACWSKD_CUDART=/path/to/libcudart.so",
            )
        self.library.cudaGetErrorString.restype = ctypes.c_char_p
        count = ctypes.c_int(0)
        self.call("cudaGetDeviceCount", ctypes.byref(count))
        if count.value < 1:
            raise Trouble(NO_TENSORRT, "CUDA finds no GPU", "run this on the device")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of libcudart; an error code becomes Trouble."""
        code = getattr(self.library, name)(*arguments)
        if code:
            words = self.library.cudaGetErrorString(code).decode()
            kind = NO_SPACE if code == 2 else NO_TENSORRT if code in (35, 100) else FAILED
            hint = "free memory" if code == 2 else "run this on the device, and see that its driver is loaded"
            raise Trouble(kind, f"{name}: CUDA error {code}, {words}", hint)

    def has(self, name: str) -> bool:
        """Whether this CUDA offers a function."""
        return hasattr(self.library, name)

    def pointer(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function whose first argument receives a pointer; returns that."""
        result = ctypes.c_void_p()
        self.call(name, ctypes.byref(result), *arguments)
        return result

    def number(self, name: str) -> int:
        """Call a function whose only argument receives an int."""
        result = ctypes.c_int(0)
        self.call(name, ctypes.byref(result))
        return result.value

    def memory(self) -> tuple[int, int]:
        """Free and all memory of the GPU, bytes."""
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        self.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def milliseconds(self, start: ctypes.c_void_p, end: ctypes.c_void_p) -> float:
        """Between two recorded events."""
        result = ctypes.c_float(0)
        self.call("cudaEventElapsedTime", ctypes.byref(result), start, end)
        return result.value


def dotted(version: int) -> str:
    """CUDA's 12060 -> 12.6."""
    return f"{version // 1000}.{version % 1000 // 10}"


def l4t() -> str | None:
    """Jetson Linux's release, for instance 36.4.3; None on another machine."""
    try:
        text = Path("/etc/nv_tegra_release").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", text)
    return ".".join(found.groups()) if found else text.strip()[:80]


def device_facts(trt: Any, cuda: Cuda | None) -> dict[str, Any]:
    """What an engine is bound to; without a GPU only the version of TensorRT."""
    facts: dict[str, Any] = dict.fromkeys(DEVICE)
    facts["tensorrt"], facts["l4t"] = "{} {}".format(trt.__name__.replace("_bindings", ""), trt.__version__), l4t()
    if cuda is None:
        return facts
    facts["cuda"] = dotted(cuda.number("cudaRuntimeGetVersion"))
    facts["driver"] = dotted(cuda.number("cudaDriverGetVersion"))
    capability = []
    for attribute in (75, 76):  # cudaDevAttrComputeCapabilityMajor, -Minor
        value = ctypes.c_int(0)
        cuda.call("cudaDeviceGetAttribute", ctypes.byref(value), attribute, 0)
        capability.append(str(value.value))
    facts["compute_capability"] = ".".join(capability)
    driver, name = load_library(("libcuda.so.1",)), ctypes.create_string_buffer(256)
    if driver is not None and driver.cuInit(0) == 0 and driver.cuDeviceGetName(name, 256, 0) == 0:
        facts["gpu"] = name.value.decode(errors="replace")
    return facts


def require_same(engine: str, recorded: dict[str, Any], here: dict[str, Any], rebuild: str) -> None:
    """Refuse an engine that was built on another machine or by another TensorRT.

    Raises:
        Trouble: names each difference and the command that builds it again.
    """
    differing = [key for key in DEVICE if recorded.get(key) != here.get(key)]
    if differing:
        told = ", ".join(f"{key} {recorded.get(key)} here {here.get(key)}" for key in differing)
        raise Trouble(MISMATCH, f"{engine} was built elsewhere: {told}", rebuild)


# --- an engine


class Engine:
    """A deserialised engine with its buffers: pinned on the host, one stream, replayed as a CUDA graph.

    One input and one output of static shape; only these two cross the bus.

    Args:
        trt: the TensorRT that built it.
        content: the engine file.
    Raises:
        Trouble: TensorRT cannot read it, CUDA is absent, or it has other inputs and outputs.
    """

    def __init__(self, trt: Any, content: bytes, rebuild: str) -> None:
        self.cuda, self.trt, log = Cuda(), trt, logger_of(trt)
        self.cuda.call("cudaSetDevice", 0)
        self.log, self.runtime = log, trt.Runtime(log)
        self.engine = self.runtime.deserialize_cuda_engine(content)
        if self.engine is None:
            raise Trouble(MISMATCH, f"TensorRT cannot read the engine: {log.errors()}", rebuild)
        self.context = self.engine.create_execution_context()
        if self.context is None:
            raise Trouble(NO_SPACE, f"no memory for the engine: {log.errors()}", "close other programs")
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        inputs = [one for one in names if self.engine.get_tensor_mode(one) == trt.TensorIOMode.INPUT]
        outputs = [one for one in names if one not in inputs]
        if len(inputs) != 1 or len(outputs) != 1:
            raise Trouble(FAILED, f"engine takes {inputs} and gives {outputs}", rebuild)
        self.stream = self.cuda.pointer("cudaStreamCreateWithFlags", ctypes.c_uint(NON_BLOCKING))
        self.host_in, self.device_in = self.buffers(inputs[0])
        self.host_out, self.device_out = self.buffers(outputs[0])
        self.graph: ctypes.c_void_p | None = None
        self.launch()  # allocates what TensorRT allocates lazily, before anything is captured
        self.synchronize()
        self.graph = self.capture()

    def buffers(self, name: str) -> tuple[NDArray[Any], ctypes.c_void_p]:
        """A pinned host array for a tensor, and its memory on the GPU."""
        shape = tuple(self.engine.get_tensor_shape(name))
        dtype = np.dtype(TYPES[self.engine.get_tensor_dtype(name).name])
        if min(shape) < 1:
            raise Trouble(FAILED, f"engine has the dynamic shape {shape} of {name}", "convert again")
        size = int(np.prod(shape)) * dtype.itemsize
        pinned = self.cuda.pointer("cudaHostAlloc", ctypes.c_size_t(size), ctypes.c_uint(0))
        host = np.frombuffer((ctypes.c_char * size).from_address(pinned.value or 0), dtype).reshape(shape)
        device = self.cuda.pointer("cudaMalloc", ctypes.c_size_t(size))
        self.context.set_tensor_address(name, device.value)
        return host, device

    def capture(self) -> ctypes.c_void_p | None:
        """The computation as a CUDA graph; None where CUDA or the engine cannot be captured."""
        if not self.cuda.has("cudaGraphInstantiateWithFlags"):  # CUDA before 11.4
            return None
        graph = ctypes.c_void_p()
        self.cuda.call("cudaStreamBeginCapture", self.stream, THREAD_LOCAL)
        try:
            self.launch()
        finally:
            self.cuda.call("cudaStreamEndCapture", self.stream, ctypes.byref(graph))
        return self.cuda.pointer("cudaGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0)) if graph.value else None

    def layers(self) -> dict[str, Any]:
        """What TensorRT's inspector says of the engine's layers: kinds, kernels, types."""
        told = self.engine.create_engine_inspector().get_engine_information(self.trt.LayerInformationFormat.JSON)
        return {"engine": json.loads(told)}

    def copy_in(self) -> None:
        """Queue: host input -> GPU."""
        size = ctypes.c_size_t(self.host_in.nbytes)
        self.cuda.call(
            "cudaMemcpyAsync", self.device_in, self.host_in.ctypes.data_as(ctypes.c_void_p), size, H2D, self.stream
        )

    def launch(self) -> None:
        """Queue: the computation."""
        if self.graph is not None:
            self.cuda.call("cudaGraphLaunch", self.graph, self.stream)
        elif not self.context.execute_async_v3(self.stream.value or 0):
            raise Trouble(FAILED, f"the engine does not run: {self.log.errors()}", "python3 build.py")

    def copy_out(self) -> None:
        """Queue: GPU -> host output."""
        size = ctypes.c_size_t(self.host_out.nbytes)
        self.cuda.call(
            "cudaMemcpyAsync", self.host_out.ctypes.data_as(ctypes.c_void_p), self.device_out, size, D2H, self.stream
        )

    def synchronize(self) -> None:
        """Wait for all that was queued."""
        self.cuda.call("cudaStreamSynchronize", self.stream)

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """(1, C, h, w) -> a copy of the output; the input is cast to the engine's own dtype."""
        self.host_in[...] = batch
        self.copy_in()
        self.launch()
        self.copy_out()
        self.synchronize()
        return self.host_out.copy()


def load_engine(path: Path, rebuild: str, rtx: bool = False) -> Engine:
    """Load an engine whose fingerprint is this machine's.

    Args:
        rebuild: the command that builds it again, for messages.
        rtx: whether TensorRT-RTX built it.
    Raises:
        Trouble: no fingerprint, another machine or TensorRT, a changed file, or none of what it needs is here.
    """
    recorded = fingerprint_of(path)
    if not recorded:
        raise Trouble(MISMATCH, f"{path} is missing or has no fingerprint", rebuild)
    trt = import_tensorrt(rtx)
    require_same(path.name, recorded, device_facts(trt, Cuda()), rebuild)
    if "engine_sha256" in recorded and sha256(path) != recorded["engine_sha256"]:
        raise Trouble(MISMATCH, f"{path} was changed after it was built", rebuild)
    return Engine(trt, path.read_bytes(), rebuild)


def fingerprint_of(path: Path) -> dict[str, Any]:
    """An engine's fingerprint: `<engine>.json` beside it, else its network's name; empty if there is neither."""
    if not path.is_file():
        return {}
    if beside := read_json(fingerprint_path(path)):
        return beside
    rest = path.read_bytes().partition(MARK.encode())[2]
    try:
        found, _ = json.JSONDecoder().raw_decode(rest.decode("utf-8", "replace"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def fingerprint_path(engine: Path) -> Path:
    """Where an engine's fingerprint lies."""
    return engine.with_name(engine.name + ".json")


def built_engine(out: Path, kit: dict[str, Any], built: dict[str, Any]) -> Path:
    """The engine that build.json names.

    Raises:
        Trouble: nothing was built, or from another kit.
    """
    if built.get("key") != kit["key"]:
        raise Trouble(FAILED, f"no engine of this kit in {out}", "python3 build.py")
    return out / str(built["engine"])


# --- the contract, as far as the device needs it


def network_input(pixels: NDArray[Any], contract: dict[str, Any], io: str) -> NDArray[Any]:
    """Pixels (h, w, C) on the network's grid -> (1, C, h, w): as they are (raw), or normalised float32."""
    values = pixels
    if io == "tensor":
        rule = contract["intensity"]
        values = np.clip(pixels.astype(np.float32), np.float32(rule["low"]), np.float32(rule["high"]))
        values = (values - np.asarray(rule["mean"], np.float32)) / np.asarray(rule["std"], np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def mask_of(output: NDArray[Any], io: str) -> NDArray[Any]:
    """An engine's output -> mask (h, w), of equal logits the lowest class."""
    return np.asarray(output[0] if io == "raw" else output[0].argmax(axis=0), np.uint8)
