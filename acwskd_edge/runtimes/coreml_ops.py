"""The operations of MIL (Core ML's model intermediate language, iOS 17) of U-Nets, ours and others', in torch.

Arguments carry MIL's names and defaults. What an operation offers beyond our use raises NotImplementedError, so that
nothing is ever computed differently from what the program says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

CONSTANT = "constexpr_"  # compressed weights: coremltools itself decompresses these operations


def _refuse_if(condition: bool, what: str) -> None:
    if condition:
        raise NotImplementedError(what)


def _pad(x: Tensor, pad_type: str, pad: Sequence[int], value: float = 0.0) -> Tensor:
    """Pad (B, C, H, W); MIL's order is top, bottom, left, right."""
    _refuse_if(pad_type not in ("valid", "custom"), f"pad_type {pad_type}")
    if pad_type == "valid" or not any(pad):
        return x
    top, bottom, left, right = pad
    return F.pad(x, (left, right, top, bottom), value=value)


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    return F.conv2d(_pad(x, pad_type, pad), weight, bias, list(strides), 0, list(dilations), groups)


def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Sequence[int] = (0, 0, 0, 0),
    output_shape: Sequence[int] | None = None,
    pad_type: str = "valid",
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    _refuse_if(pad_type not in ("valid", "custom"), f"pad_type {pad_type}")
    y = F.conv_transpose2d(x, weight, bias, list(strides), 0, 0, groups, list(dilations))
    if pad_type == "custom":
        top, bottom, left, right = pad
        y = y[..., top : y.shape[2] - bottom, left : y.shape[3] - right]
    _refuse_if(output_shape is not None and list(y.shape) != list(output_shape), f"output_shape {output_shape}")
    return y


def _max_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
) -> Tensor:
    _refuse_if(ceil_mode, "ceil_mode")
    return F.max_pool2d(_pad(x, pad_type, pad, -torch.inf), list(kernel_sizes), list(strides))


def _avg_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    _refuse_if(ceil_mode, "ceil_mode")
    _refuse_if(exclude_padding_from_average and any(pad), "exclude_padding_from_average")
    return F.avg_pool2d(_pad(x, pad_type, pad), list(kernel_sizes), list(strides))


def _pad_any(x: Tensor, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """MIL's order is the axes' own, torch's is last axis first."""
    pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
    while len(pairs) > 2 and not any(pairs[0]):
        pairs = pairs[1:]  # torch wants only the spatial axes for all modes but constant
    flat = [amount for pair in reversed(pairs) for amount in pair]
    return F.pad(x, flat, mode, constant_val if mode == "constant" else None)


def _batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, epsilon)


def _instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    return F.instance_norm(x, weight=gamma, bias=beta, eps=epsilon)


def _upsample_nearest(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Tensor:
    whole = float(scale_factor_height).is_integer() and float(scale_factor_width).is_integer()
    _refuse_if(not whole, f"scale factors {scale_factor_height}, {scale_factor_width}")
    return x.repeat_interleave(int(scale_factor_height), 2).repeat_interleave(int(scale_factor_width), 3)


def _upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    _refuse_if(half_pixel_centers is align_corners, f"half_pixel_centers {half_pixel_centers}")
    size = int(x.shape[2] * scale_factor_height), int(x.shape[3] * scale_factor_width)
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)


def _concat(values: Sequence[Tensor], axis: int, interleave: bool = False) -> Tensor:
    _refuse_if(interleave, "interleave")
    return torch.cat(list(values), axis)


def _reduce_argmax(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Tensor:
    return x.argmax(axis, keep_dims)  # the program's output type carries `output_dtype`


def _cast(x: Tensor, dtype: str) -> Tensor:
    return x  # storing the result as the program's output type is the cast


def _clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x.clamp(alpha, beta)


def _along(value: Tensor | Sequence[int] | float, axis: int | None, rank: int) -> Tensor:
    """A scalar, or a vector laid along `axis` of a tensor of this rank."""
    vector = torch.as_tensor(value, dtype=torch.float32)
    if vector.ndim == 0 or axis is None:
        return vector
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def _quantize(
    input: Tensor,
    scale: Tensor | float,
    output_dtype: str,
    zero_point: Sequence[int] | int = 0,
    axis: int | None = None,
) -> Tensor:
    steps = torch.round(input / _along(scale, axis, input.ndim)) + _along(zero_point, axis, input.ndim)
    limits = torch.iinfo(torch.int8 if output_dtype == "int8" else torch.uint8)
    return steps.clamp(limits.min, limits.max)


def _dequantize(
    input: Tensor, scale: Tensor | float, zero_point: Sequence[int] | int = 0, axis: int | None = None
) -> Tensor:
    return (input.float() - _along(zero_point, axis, input.ndim)) * _along(scale, axis, input.ndim)


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "add": lambda x, y: x + y,
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "cast": _cast,
    "clip": _clip,
    "concat": _concat,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "dequantize": _dequantize,
    "instance_norm": _instance_norm,
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, alpha),
    "max_pool": _max_pool,
    "mul": lambda x, y: x * y,
    "pad": _pad_any,
    "prelu": lambda x, alpha: F.prelu(x, alpha),
    "quantize": _quantize,
    "real_div": lambda x, y: x / y,
    "reduce_argmax": _reduce_argmax,
    "reduce_mean": lambda x, axes, keep_dims=False: x.mean(axes, keep_dims),
    "relu": lambda x: F.relu(x),
    "sigmoid": torch.sigmoid,
    "silu": lambda x: F.silu(x),
    "sub": lambda x, y: x - y,
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest,
}
