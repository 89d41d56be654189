"""Core ML packages: evaluated with torch where Apple's runtime is absent, run by coremltools on macOS.

Core ML executes only on Apple systems. Elsewhere `load` reads the ML Program inside the package, the very operations
and weights that a phone will load, and computes them one by one: float32 arithmetic, and every tensor that the
program declares as fp16 rounded to fp16 when it is stored; integers are integers.

What agreement with the checkpoint proves: weights, their packing and quantisation scales, shapes, layouts, padding,
the order of operations, names, and that rounding to fp16 or int8 at these places keeps the answer.
What it does not prove: Apple's arithmetic (fp16 accumulation, the order of sums, which of two equal logits wins), that
Core ML accepts the package, what runs on the Neural Engine, GPU or CPU, and any latency. It is our reading of the MIL
specification, not Apple's implementation.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acwskd_edge.errors import UsageError
from acwskd_edge.runtimes import Runtime
from acwskd_edge.runtimes.coreml_ops import CONSTANT, OPERATIONS


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hold back log warnings, not errors: coremltools lists Apple libraries that no other system has."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


with quiet_import():
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load as read_program
    from coremltools.converters.mil.mil.types import builtin_to_string

OUTPUTS = ("logits", "mask")  # an output's name says whether the artefact's io is tensor or raw
STORAGE = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "int32": torch.int32,
    "uint16": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}

Observer = Callable[[str, NDArray[np.generic]], None]


@dataclass(frozen=True)
class Ref:
    """An argument that is computed: the name of a tensor."""

    name: str


@dataclass(frozen=True)
class Step:
    """One operation of the program."""

    kind: str  # MIL's operation type, a key of OPERATIONS
    name: str
    arguments: dict[str, Any]  # Ref, a tuple with Refs, or a constant
    output: str
    dtype: str  # a key of STORAGE
    last_uses: tuple[str, ...]  # tensors that no later step reads

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the computed tensors it takes."""
        return tuple(one.name for one in _flat(self.arguments.values()) if isinstance(one, Ref))


class Program:
    """A Core ML program, ready to be evaluated.

    Args:
        model: a coremltools MLModel holding an ML Program with one function.
        source: its name in error messages.
    Raises:
        UsageError: not an ML Program, or it has an operation or a type this evaluator does not know.
    """

    def __init__(self, model: Any, source: str) -> None:
        self.source = source
        spec = model.get_spec()
        if spec.WhichOneof("Type") != "mlProgram":
            raise UsageError(f"{source} is not an ML Program", hint="convert it with --target coreml")
        function = read_program(
            model_spec=spec, specification_version=spec.specificationVersion, file_weights_dir=model.weights_dir
        ).functions["main"]
        self.inputs = {name: (tuple(var.shape), builtin_to_string(var.dtype)) for name, var in function.inputs.items()}
        self.output: str = function.outputs[0].name
        self.steps = self._compile(list(function.operations))

    @classmethod
    def open(cls, path: Path) -> Program:
        """Read a .mlpackage.

        Raises:
            UsageError: absent, not a Core ML package, or not one this evaluator knows.
        """
        if not path.exists():
            raise UsageError(f"no Core ML package at {path}", hint="convert with --target coreml")
        try:
            return cls(coremltools.models.MLModel(str(path), skip_model_load=True), str(path))
        except UsageError:
            raise
        except Exception as error:  # coremltools has no error type of its own for a package it cannot read
            raise UsageError(f"{path} is not a readable Core ML package ({error})", hint="convert again") from error

    def run(self, inputs: Mapping[str, NDArray[np.generic]], observe: Observer | None = None) -> NDArray[np.generic]:
        """Evaluate the program.

        Args:
            inputs: by the program's input names, shapes as the program declares them.
            observe: called with name and value of every input and of every operation's result, in order; the array
                is valid only during the call.
        Returns:
            The output: float32, or the integer type the program declares.
        Raises:
            UsageError: a missing input, a wrong shape, or an argument of an operation that is not supported.
        """
        env = {name: self._input(name, inputs) for name in self.inputs}
        with torch.inference_mode():
            for name, value in env.items():
                if observe:
                    observe(name, value.numpy())
            for step in self.steps:
                env[step.output] = self._evaluate(step, env)
                if observe:
                    observe(step.output, env[step.output].numpy())
                for name in step.last_uses:
                    del env[name]
        return np.asarray(env[self.output].numpy())

    def _input(self, name: str, inputs: Mapping[str, NDArray[np.generic]]) -> Tensor:
        shape, dtype = self.inputs[name]
        given = inputs[name].shape if name in inputs else "nothing"
        if given != shape:
            raise UsageError(f"{self.source}: input {name} is {given}", allowed=str(shape))
        return stored(torch.from_numpy(np.ascontiguousarray(inputs[name])), dtype)

    def _evaluate(self, step: Step, env: Mapping[str, Tensor]) -> Tensor:
        arguments = {key: _fetch(value, env) for key, value in step.arguments.items()}
        try:
            return stored(OPERATIONS[step.kind](**arguments), step.dtype)
        except (NotImplementedError, TypeError) as error:  # TypeError: an argument the function does not take
            raise UsageError(
                f"{self.source}: the evaluator does not support operation {step.kind} {step.name!r} as used ({error})",
                hint="run the package on macOS",
            ) from error

    def _compile(self, operations: list[Any]) -> list[Step]:
        constants: dict[str, Any] = {}
        steps: list[Step] = []
        for op in operations:
            output = op.outputs[0]
            dtype = builtin_to_string(output.dtype)
            if op.op_type == "const":
                constants[output.name] = output.val
            elif op.op_type.startswith(CONSTANT):
                constants[output.name] = op.materialized_val_inference()
            elif op.op_type in OPERATIONS and dtype in STORAGE:
                arguments = {key: _argument(var, constants) for key, var in op.inputs.items() if var is not None}
                steps.append(Step(op.op_type, op.name, arguments, output.name, dtype, ()))
            else:
                raise UsageError(
                    f"{self.source}: the evaluator does not know operation {op.op_type} {op.name!r} giving {dtype}",
                    allowed=f"{', '.join(sorted(OPERATIONS))}, {CONSTANT}*; {', '.join(STORAGE)}",
                    hint="run the package on macOS, or add the operation to acwskd_edge/runtimes/coreml_ops.py",
                )
        return _with_last_uses(steps, self.output)


class Evaluator:
    """The Runtime of a program on systems without Core ML; batch (1, C, h, w) as `Runtime` says."""

    def __init__(self, program: Program, threads: int) -> None:
        self.program, self.threads = program, threads
        (self.input,) = program.inputs
        self.dtype = output_dtype(program.output, program.source)

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """(1, C, h, w) -> float32 logits (1, K, h, w) or uint8 mask (1, h, w)."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            return self.program.run({self.input: batch}).astype(self.dtype)
        finally:
            torch.set_num_threads(before)


class AppleRuntime:
    """The same through Core ML itself, macOS only. Not run on hardware: this project's tests have no Mac."""

    def __init__(self, path: Path) -> None:
        self.model = coremltools.models.MLModel(str(path))
        description = self.model.get_spec().description
        self.input, self.output = description.input[0].name, description.output[0].name
        self.takes_image = description.input[0].type.WhichOneof("Type") == "imageType"
        self.dtype = output_dtype(self.output, str(path))

    def __call__(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """(1, C, h, w) -> float32 logits (1, K, h, w) or uint8 mask (1, h, w)."""
        value = image_of(batch) if self.takes_image else batch.astype(np.float32)
        answer = self.model.predict({self.input: value})
        return np.asarray(answer[self.output]).astype(self.dtype)


def load(path: Path, threads: int) -> Runtime:
    """Load a .mlpackage; `threads` matters only to the evaluator (Core ML schedules itself).

    Raises:
        UsageError: absent or unreadable, or an operation the evaluator does not know.
    """
    if sys.platform == "darwin":
        return AppleRuntime(path)
    return Evaluator(Program.open(path), threads)


def image_of(batch: NDArray[np.generic]) -> Any:
    """uint8 pixels (1, C, h, w), C 1 or 3 -> the PIL image that coremltools' predict wants for an image input."""
    from PIL import Image

    pixels = batch[0].transpose(1, 2, 0).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def output_dtype(output: str, source: str) -> type[np.generic]:
    """The dtype `Runtime` promises for an output of this name.

    Raises:
        UsageError: neither logits nor mask.
    """
    if output not in OUTPUTS:
        raise UsageError(f"{source}: output {output!r}", allowed=", ".join(OUTPUTS))
    return np.float32 if output == "logits" else np.uint8


def stored(value: Tensor, dtype: str) -> Tensor:
    """The value after being written to memory as `dtype`; fp16 comes back as float32, rounded."""
    return value.half().float() if dtype == "fp16" else value.to(STORAGE[dtype])


def constant(value: Any) -> Any:
    """A MIL constant for torch: float arrays as float32 tensors, all else as plain Python values."""
    array = np.asarray(value)
    if array.ndim and np.issubdtype(array.dtype, np.floating):
        return torch.from_numpy(array.astype(np.float32))
    return array.tolist()


def _argument(value: Any, constants: Mapping[str, Any]) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_argument(one, constants) for one in value)
    return constant(constants[value.name]) if value.name in constants else Ref(value.name)


def _fetch(value: Any, env: Mapping[str, Tensor]) -> Any:
    if isinstance(value, tuple):
        return tuple(_fetch(one, env) for one in value)
    return env[value.name] if isinstance(value, Ref) else value


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple):
            yield from value
        else:
            yield value


def _with_last_uses(steps: list[Step], output: str) -> list[Step]:
    """So that memory holds only what a later step needs."""
    last = {name: i for i, step in enumerate(steps) for name in step.reads if name != output}
    return [
        Step(s.kind, s.name, s.arguments, s.output, s.dtype, tuple(n for n, at in last.items() if at == i))
        for i, s in enumerate(steps)
    ]
