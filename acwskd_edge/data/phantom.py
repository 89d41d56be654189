"""The phantom: seeded, procedural abdominal CT, so that everything runs without a download.

Patient n is a pure function of (VERSION, n): the code below uses only additions, multiplications, divisions and
comparisons on arrays, so every machine draws the same bytes. Anatomy is a table (`PARTS`) of ellipsoids and tubes in
trunk units, painted back to front on a grid with 2x2x2 samples per voxel and bent by a smooth random warp.

Version 1 was frozen on the gap between a plain full U-Net and a plain small one and on the confusion of similar
organs; no result of a distillation had a part in it. Validation Dice at 96x96 after 1,000 plain steps, from
benchmarks/results/phantom-v1-size96-1000steps.csv: unet64 .847 (one seed), unet8 .786 +- .007 (three seeds);
pancreas .776 and .638, duodenum .646 and .488.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from acwskd_edge.contract import Intensity, Label
from acwskd_edge.data.case import Case, Split
from acwskd_edge.errors import DataError, UsageError

VERSION = 1  # of the drawing: a change that moves a byte needs the next number and new figures
PATIENTS = 40  # of a bare `--data phantom`
MOST = 9999  # the number of digits in an id

Array = NDArray[np.float32]
Knot = tuple[float, float, float, float, float, float]  # x, y, z, radius in x, y, z (trunk units)

WARP_MM = 6.0  # standard deviation of the coarse warp, 55 mm between its knots; the fine one has a quarter
REACH = 2.5  # standard deviations at which the warp is cut
NOISE_HU = (9.0, 18.0)  # range over patients of the standard deviation of the noise
FAT, MUSCLE, LUNG, AIR, RIB = -100.0, 58.0, -840.0, -1000.0, 320.0  # HU


@dataclass(frozen=True)
class Part:
    """One structure; later parts of the table cover earlier ones.

    Trunk units: x to the patient's left and y to posterior in half-widths of the abdominal cavity (about 125 and
    88 mm), z to inferior from the dome of the liver (0) to the lower pole of the kidneys (1, about 150 mm).
    """

    name: str
    hu: tuple[float, float, float]  # without contrast, arterial, portal venous
    knots: tuple[Knot, ...]
    color: tuple[int, int, int] | None = None  # None: background, however much it looks like an organ
    tube: bool = True  # joined knot to knot, else a union of ellipsoids
    wander: float = 0.05  # standard deviation of the position between patients
    wall: float = 0.0  # outer share of the squared depth that is wall; the core holds `content`
    content: str = ""  # fluid (bile, urine, sinus), gut (food, water, oral contrast, gas), medulla
    absent: float = 0.0  # probability


# Two knots to a line.
# fmt: off
PARTS: tuple[Part, ...] = (
    Part("heart", (45, 160, 130), (
        (0.15, -0.35, -0.12, 0.45, 0.45, 0.2),
    )),
    Part("oesophagus", (45, 60, 70), (
        (0.06, 0.26, -0.2, 0.08, 0.1, 0.1), (0.16, 0.16, 0.12, 0.08, 0.1, 0.1),
    )),
    Part("colon", (38, 62, 78), (
        (-0.72, 0.2, 1.5, 0.2, 0.26, 0.1), (-0.7, 0.1, 0.95, 0.19, 0.25, 0.1),
        (-0.5, -0.62, 0.84, 0.17, 0.2, 0.09), (0.05, -0.74, 0.82, 0.16, 0.18, 0.08),
        (0.5, -0.6, 0.72, 0.16, 0.2, 0.08), (0.78, -0.05, 0.54, 0.15, 0.2, 0.08),
        (0.8, 0.25, 0.8, 0.13, 0.18, 0.1), (0.78, 0.3, 1.5, 0.13, 0.18, 0.1),
    ), wander=0.06, wall=0.35, content="gut"),
    Part("spleen", (48, 112, 116), (
        (0.66, 0.42, 0.22, 0.24, 0.38, 0.16), (0.76, 0.28, 0.4, 0.17, 0.4, 0.17),
    ), color=(204, 121, 167), wander=0.06),
    Part("liver", (56, 76, 106), (
        (-0.44, -0.1, 0.18, 0.5, 0.72, 0.2), (-0.5, 0.02, 0.36, 0.46, 0.83, 0.34),
        (-0.64, 0.12, 0.62, 0.28, 0.5, 0.28), (-0.02, -0.5, 0.24, 0.46, 0.38, 0.2),
        (-0.1, 0.1, 0.3, 0.16, 0.2, 0.14),
    ), color=(213, 94, 0), tube=False),
    Part("stomach", (42, 84, 88), (
        (0.42, 0.12, 0.12, 0.3, 0.4, 0.13), (0.48, -0.2, 0.3, 0.25, 0.36, 0.15),
        (0.32, -0.48, 0.46, 0.24, 0.26, 0.12), (0, -0.45, 0.53, 0.18, 0.19, 0.08),
        (-0.18, -0.3, 0.52, 0.1, 0.12, 0.06),
    ), color=(230, 159, 0), wander=0.06, wall=0.3, content="gut"),
    Part("left kidney", (32, 150, 160), (
        (0.42, 0.58, 0.45, 0.17, 0.27, 0.16), (0.5, 0.5, 0.64, 0.22, 0.33, 0.17),
        (0.54, 0.5, 0.82, 0.18, 0.28, 0.15),
    ), color=(86, 180, 233), wall=0.45, content="medulla"),
    Part("right kidney", (32, 150, 160), (
        (-0.44, 0.6, 0.52, 0.17, 0.27, 0.16), (-0.51, 0.52, 0.71, 0.22, 0.33, 0.17),
        (-0.55, 0.5, 0.88, 0.18, 0.28, 0.15),
    ), color=(0, 114, 178), wall=0.45, content="medulla"),
    Part("pancreas", (40, 94, 92), (
        (-0.16, 0.06, 0.72, 0.13, 0.17, 0.09), (-0.1, 0, 0.6, 0.13, 0.16, 0.08),
        (0.1, -0.08, 0.53, 0.13, 0.17, 0.08), (0.32, 0.04, 0.46, 0.13, 0.17, 0.08),
        (0.54, 0.22, 0.4, 0.11, 0.15, 0.06),
    ), color=(240, 228, 66), wander=0.03),
    Part("duodenum", (40, 72, 86), (
        (-0.16, -0.26, 0.54, 0.12, 0.15, 0.07), (-0.28, -0.08, 0.6, 0.12, 0.16, 0.07),
        (-0.34, 0.1, 0.7, 0.13, 0.17, 0.08), (-0.32, 0.16, 0.84, 0.13, 0.17, 0.08),
        (-0.14, 0.16, 0.94, 0.13, 0.16, 0.07), (0.16, 0.14, 0.95, 0.12, 0.16, 0.07),
    ), color=(178, 223, 138), wander=0.03, wall=0.5, content="gut"),
    Part("gallbladder", (34, 50, 58), (
        (-0.32, -0.2, 0.52, 0.07, 0.1, 0.05), (-0.42, -0.42, 0.66, 0.17, 0.23, 0.11),
    ), color=(0, 158, 115), wander=0.04, wall=0.2, content="fluid", absent=0.15),
    Part("portal vein", (42, 96, 150), (
        (-0.36, -0.02, 0.34, 0.06, 0.08, 0.05), (-0.16, 0.02, 0.46, 0.06, 0.09, 0.05),
        (-0.02, 0.04, 0.6, 0.06, 0.08, 0.05), (-0.02, 0, 1.2, 0.06, 0.08, 0.05),
    ), wander=0.03),
    Part("inferior vena cava", (42, 84, 132), (
        (-0.2, 0.16, -0.1, 0.11, 0.14, 0.1), (-0.18, 0.32, 0.35, 0.12, 0.14, 0.1),
        (-0.16, 0.42, 1.5, 0.11, 0.14, 0.1),
    ), color=(90, 60, 170), wander=0.03),
    Part("aorta", (42, 270, 150), (
        (0.12, 0.46, -0.3, 0.1, 0.14, 0.1), (0.06, 0.4, 0.6, 0.095, 0.135, 0.1),
        (0.04, 0.42, 1.5, 0.085, 0.12, 0.1),
    ), color=(220, 38, 38), wander=0.03),
    Part("right psoas", (54, 58, 62), (
        (-0.2, 0.74, 0.5, 0.08, 0.12, 0.1), (-0.3, 0.66, 1.5, 0.17, 0.24, 0.1),
    )),
    Part("left psoas", (54, 58, 62), (
        (0.2, 0.74, 0.5, 0.08, 0.12, 0.1), (0.3, 0.66, 1.5, 0.17, 0.24, 0.1),
    )),
    Part("right back", (54, 58, 62), (
        (-0.3, 1.12, -0.5, 0.27, 0.24, 0.2), (-0.3, 1.1, 1.6, 0.27, 0.26, 0.2),
    )),
    Part("left back", (54, 58, 62), (
        (0.3, 1.12, -0.5, 0.27, 0.24, 0.2), (0.3, 1.1, 1.6, 0.27, 0.26, 0.2),
    )),
    Part("arch", (260, 260, 260), (
        (0, 1.04, -0.5, 0.14, 0.18, 0.1), (0, 1.04, 1.6, 0.14, 0.18, 0.1),
    ), wander=0.0),
    Part("spine", (190, 195, 200), (
        (0, 0.78, -0.5, 0.17, 0.22, 0.1), (0, 0.78, 1.6, 0.18, 0.23, 0.1),
    ), wander=0.0),
    Part("canal", (25, 25, 25), (
        (0, 1.03, -0.5, 0.07, 0.09, 0.1), (0, 1.03, 1.6, 0.07, 0.09, 0.1),
    ), wander=0.0),
)
# fmt: on

# The order of FLARE22, without the classes the phantom lacks.
NAMES = (
    "liver",
    "right kidney",
    "spleen",
    "pancreas",
    "aorta",
    "inferior vena cava",
    "gallbladder",
    "stomach",
    "duodenum",
    "left kidney",
)
_CLASS = {name: i for i, name in enumerate(NAMES, start=1)}
_COLOR = {part.name: part.color for part in PARTS if part.color}
LABELS = (Label(0, "background", (0, 0, 0)), *(Label(i, name, _COLOR[name]) for name, i in _CLASS.items()))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], steps: tuple[float, ...]) -> Array:
    """Unit-variance noise, a quadratic B-spline over random knots `steps` grid points apart."""
    out = rng.standard_normal([int(n / step) + 4 for n, step in zip(shape, steps, strict=True)], np.float32)
    for axis, (n, step) in enumerate(zip(shape, steps, strict=True)):
        at = np.arange(n) / step + rng.random()
        first = np.floor(at).astype(np.intp)
        f = (at - first).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        low, mid, high = (np.take(out, first + k, axis) for k in range(3))
        out = 0.5 * (1 - f) * (1 - f) * low + (0.5 + f * (1 - f)) * mid + 0.5 * f * f * high
    return out / np.float32(0.55 ** (0.5 * len(shape)))  # 0.55: mean over f of the sum of squared weights


class _Canvas:
    """One patient's trunk on the supersampled grid: (2D, 2H, 2W), slices from inferior to superior."""

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int, int],
        spacing: tuple[float, ...],
        half: NDArray[np.float64],
    ) -> None:
        self.rng = rng
        full = tuple(2 * n for n in shape)
        step = np.array(spacing) / 2
        lines = [(np.arange(n) + 0.5 - n / 2) * s / h for n, s, h in zip(full, step, half, strict=True)]
        lines[0] = rng.uniform(-0.04, 0.1) + lines[0][-1] - lines[0]  # slice 0 is the lowest
        lines[1] = lines[1] + 0.1  # the back is thicker than the belly
        self.lines = [line.astype(np.float32) for line in lines]
        self.margin = 1.25 * REACH * WARP_MM / half  # 1.25: both octaves of the warp
        self.z, self.y, self.x = (
            line.reshape([-1 if i == axis else 1 for i in range(3)]) + self._warp(full, step) / np.float32(h)
            for axis, (line, h) in enumerate(zip(self.lines, half, strict=True))
        )
        self.texture = smooth_noise(rng, full, tuple(7.0 / step))
        self.phase = rng.uniform(0.7, 2.0)  # 0 without contrast, 1 arterial, 2 portal venous
        self.oral = rng.choice([15.0, 40.0, 65.0, 190.0], p=[0.4, 0.25, 0.25, 0.1])
        self.hu = np.full(full, FAT, np.float32)
        self.label = np.zeros(full, np.uint8)
        self.lung, self.outside = self._body()

    def _warp(self, shape: tuple[int, ...], step: NDArray[np.float64]) -> Array:
        """Displacement in mm along one axis."""
        coarse = smooth_noise(self.rng, shape, tuple(55.0 / step))
        fine = smooth_noise(self.rng, shape, tuple(20.0 / step))
        return np.float32(WARP_MM) * (np.clip(coarse, -REACH, REACH) + 0.25 * np.clip(fine, -REACH, REACH))

    def _body(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Draw fat, muscle wall with ribs, skin and lungs; give where the lungs and the air outside are."""
        x2, y2 = self.x * self.x, self.y * self.y
        ring = 0.5 * (x2 + y2 + x2 * x2 + y2 * y2)
        dome = 0.2 * ring * ring + 0.14 * np.maximum(self.y, 0) - 0.08
        lung = (ring < 1) & (self.z < dome) & ((x2 > 0.07) | (self.y < 0.1))  # not in the mediastinum
        wall = self.rng.uniform(1.3, 1.6)
        skin = wall + self.rng.uniform(0.25, 1.4) + 0.35 * np.maximum(self.y, 0)
        beat = 5 * self.z + 3.2 * self.y / (np.abs(self.x) + np.abs(self.y)) + self.rng.random()
        rib = (beat - np.floor(beat) < 0.33) & (self.y > 1.4 * self.z - 1.2) & (ring > 1.07) & (ring < 1.25)
        self.hu += 8 * self.texture
        self.hu[lung] = LUNG
        muscle = (ring >= 1) & (ring < wall)
        self.hu[muscle] = MUSCLE
        self.hu[muscle & rib] = RIB
        self.hu[ring > skin] = 30.0
        return lung, ring > skin + 0.12

    def paint(self, part: Part) -> None:
        """Draw one part where there is neither lung nor air; its position, size and HU vary with the patient."""
        rng = self.rng
        value = part.hu[0] + min(self.phase, 1) * (part.hu[1] - part.hu[0])
        value += max(self.phase - 1, 0) * (part.hu[2] - part.hu[1]) + rng.normal(0, 7)
        knots = np.array(part.knots)
        knots[:, :3] += rng.normal(0, part.wander, 3) + rng.normal(0, 0.4 * part.wander, (len(knots), 3))
        knots[:, 3:] *= rng.uniform(0.85, 1.17) if part.wander else 1.0
        if rng.random() < part.absent:
            return
        box, depth = self._depth(_joined(knots) if part.tube else knots)
        inside = (depth < 1) & ~(self.lung[box] | self.outside[box])
        hu = np.float32(value) + 5 * self.texture[box]
        if part.content:
            core = depth < 1 - part.wall
            hu[core] = self._content(part.content, value, box, depth)[core]
        self.hu[box][inside] = hu[inside]
        self.label[box][inside] = _CLASS.get(part.name, 0)

    def _depth(self, knots: NDArray[np.float64]) -> tuple[tuple[slice, ...], Array]:
        """The box around ellipsoids and, in it, the least squared distance in radii (below 1 inside)."""
        spots = [self._box(knot) for knot in knots]
        box = tuple(slice(min(s[i].start for s in spots), max(s[i].stop for s in spots)) for i in range(3))
        depth = np.full([s.stop - s.start for s in box], 9.0, np.float32)
        for knot, spot in zip(knots.astype(np.float32), spots, strict=True):
            x, y, z = (self.x[spot] - knot[0]) / knot[3], (self.y[spot] - knot[1]) / knot[4], self.z[spot] - knot[2]
            z /= knot[5]
            inner = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(spot, box, strict=True))
            depth[inner] = np.minimum(depth[inner], x * x + y * y + z * z)
        return box, depth

    def _box(self, knot: NDArray[np.float64]) -> tuple[slice, ...]:
        """Grid points an ellipsoid can reach, warp included."""
        spans = []
        for axis, (line, margin) in enumerate(zip(self.lines, self.margin, strict=True)):
            centre, radius = knot[2 - axis], knot[5 - axis] + margin
            hit = np.flatnonzero(np.abs(line - centre) < radius)
            spans.append(slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 0))
        return tuple(spans)

    def _content(self, kind: str, value: float, box: tuple[slice, ...], depth: Array) -> Array:
        """HU of what a hollow part holds; gas floats to anterior."""
        texture = self.texture[box]
        if kind == "fluid":
            return np.float32(self.rng.uniform(2, 22)) + 2 * texture
        if kind == "medulla":
            inner = value * (0.62 if self.phase < 1.5 else 0.95)
            return np.where(depth < 0.1, np.float32(-20), np.float32(inner) + 5 * texture)
        gas = self.rng.uniform(-0.5, 0.4)  # none in half of the patients
        filled = np.float32(self.oral + self.rng.normal(0, 10)) + 12 * texture
        y, inside = self.y[box], depth < 1
        front, back = float(y.min(initial=9, where=inside)), float(y.max(initial=-9, where=inside))
        return np.where(y < front + gas * (back - front), np.float32(AIR), filled)


def _joined(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seven ellipsoids from each knot to the next."""
    share = np.linspace(0, 1, 8)[:-1, None]
    legs = [a * (1 - share) + b * share for a, b in pairwise(knots)]
    return np.concatenate([*legs, knots[-1:]])


def _loops(rng: np.random.Generator) -> list[Part]:
    """Small bowel: background that looks like duodenum, pancreas or stomach, elsewhere in every patient."""
    loops = []
    for i in range(int(rng.integers(6, 11))):
        start = np.array([rng.uniform(-0.35, 0.7), rng.uniform(-0.6, 0.1), rng.uniform(0.55, 1.2)])
        stops = start + np.cumsum(rng.normal(0, (0.16, 0.16, 0.07), (4, 3)), axis=0)
        size = rng.uniform(0.08, 0.13)
        knots = tuple((float(x), float(y), float(z), size, 1.35 * size, 0.7 * size) for x, y, z in stops)
        wall = float(rng.choice([0.4, 0.95]))
        loops.append(Part(f"small bowel {i}", (40, 76, 90), knots, wall=wall, content="gut"))
    return loops


def _samples(volume: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """The eight samples of each voxel, as views."""
    return [volume[k::2, j::2, i::2] for k in range(2) for j in range(2) for i in range(2)]


def _majority(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The most frequent class among each voxel's samples; on a tie the lowest id."""
    votes = _samples(label)
    best = np.zeros(votes[0].shape, np.uint8)
    most = np.zeros(votes[0].shape, np.uint8)
    for k in range(len(LABELS)):
        count = np.zeros(best.shape, np.uint8)
        for vote in votes:
            count += vote == k
        best[count > most] = k
        np.maximum(most, count, out=most)
    return best


def _blur(volume: Array, share: float) -> Array:
    """In-plane filter (share, 1 - 2 share, share) along rows and columns."""
    side = np.float32(share)
    for axis in (1, 2):
        edge = [(1, 1) if i == axis else (0, 0) for i in range(3)]
        wide = np.pad(volume, edge, mode="edge")
        n = volume.shape[axis]
        before, after = (np.take(wide, np.arange(k, k + n), axis) for k in (0, 2))
        volume = (1 - 2 * side) * volume + side * (before + after)
    return volume


def _scan(rng: np.random.Generator, canvas: _Canvas) -> NDArray[np.int16]:
    """What the scanner makes of the painted trunk: partial volume, kernel, bias and correlated noise, in HU."""
    hu = np.zeros(tuple(n // 2 for n in canvas.hu.shape), np.float32)
    for sample in _samples(canvas.hu):
        hu += sample.astype(np.float32) / 8
    hu = _blur(hu, rng.uniform(0.08, 0.2))
    hu += np.float32(5) * smooth_noise(rng, hu.shape, (6.0, 40.0, 40.0))
    noise = _blur(rng.standard_normal(hu.shape, np.float32), 0.25) / np.float32(0.375)
    hu += np.float32(rng.uniform(*NOISE_HU)) * noise
    return np.clip(np.floor(hu + 0.5), -1024, 3071).astype(np.int16)


def make_patient(number: int) -> Case:
    """Draw patient `number`: 12 to 16 slices of 128 to 160 pixels a side."""
    rng = np.random.default_rng([VERSION, number])
    slices = int(rng.integers(12, 17))
    thick, pixel = round(rng.uniform(8, 10), 2), round(rng.uniform(2.4, 2.8), 2)
    half = np.array([150.0, 88.0, 125.0]) * rng.uniform(0.92, 1.1, 3) * rng.uniform(0.94, 1.08)
    side = min(max(16 * math.ceil(2.56 * half[2] / pixel / 16), 128), 160)
    canvas = _Canvas(rng, (slices, side, side), (thick, pixel, pixel), half)
    for part in (*_loops(rng), *PARTS):
        canvas.paint(part)
    canvas.hu[canvas.outside] = AIR
    name = f"phantom{number:04d}"
    affine = np.diag([-pixel, -pixel, thick, 1.0])
    return Case(name, name, _scan(rng, canvas), _majority(canvas.label), (thick, pixel, pixel), affine)


class Phantom:
    """`--data phantom` or `--data phantom:N`: N synthetic patients, one case each."""

    kind = "phantom"
    labels: tuple[Label, ...] = LABELS
    modality = "CT"
    pixel = "int16"
    channels = 1
    intensity = Intensity(-160, 240, (40.0,), (200.0,))
    warning: str | None = (
        "measured on a synthetic phantom: it compares methods and formats, and is no evidence of clinical performance"
    )

    def __init__(self, where: str = "") -> None:
        count = int(where) if re.fullmatch(r"[0-9]{1,9}", where) else 0 if where else PATIENTS
        if not 1 <= count <= MOST:
            raise UsageError(
                f"--data phantom:{where}", allowed=f"phantom, or phantom:N with N from 1 to {MOST} patients"
            )
        self.count = count

    def ids(self) -> list[str]:
        """All case ids, sorted."""
        return [f"phantom{n:04d}" for n in range(self.count)]

    def split_of(self, case_id: str) -> Split:
        """By patient number: of every five, three train, then one val, one test."""
        turn = self._number(case_id) % 5
        return "val" if turn == 3 else "test" if turn == 4 else "train"

    def patient_of(self, case_id: str) -> str:
        """Each case is its own patient."""
        return case_id

    def load(self, case_id: str) -> Case:
        """Draw one patient, always the same.

        Raises:
            DataError: no such patient.
        """
        return make_patient(self._number(case_id))

    def _number(self, case_id: str) -> int:
        found = re.fullmatch(r"phantom([0-9]{4})", case_id)
        if found is None or int(found[1]) >= self.count:
            raise DataError(
                f"no case {case_id!r} in phantom:{self.count}", allowed=f"{self.ids()[0]} to {self.ids()[-1]}"
            )
        return int(found[1])
