"""Files that the web demo's tests give to the page: pictures, a film for the camera, and what must be refused."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
from PIL import Image

from acwskd_edge.bundle import open_bundle, seal


def write_pictures(folder: Path) -> None:
    """Odd sizes: grey, colour, with alpha, a palette, a palette with alpha, a gamma; a JPEG on its side."""
    rng = np.random.default_rng(1)
    rows, cols = np.ogrid[:151, :97]
    smooth = (127 + 120 * np.sin(rows / 19.0) * np.cos(cols / 13.0)).astype(np.uint8)
    colour = np.stack([smooth, 255 - smooth, np.roll(smooth, 20, 1)], axis=-1)
    colour = (colour.astype(int) + rng.integers(-20, 20, colour.shape)).clip(0, 255).astype(np.uint8)
    clear = np.dstack([colour, rng.integers(0, 256, smooth.shape, np.uint8)])
    clear[:40, :, 3] = 0
    few = Image.fromarray(colour).quantize(40)
    sideways = Image.Exif()
    sideways[0x0112] = 6
    Image.fromarray(smooth).save(folder / "grey.png")
    Image.fromarray(colour).save(folder / "colour.png")
    Image.fromarray(clear).save(folder / "alpha.png")
    few.save(folder / "palette.png")
    few.save(folder / "clear-palette.png", transparency=bytes(range(0, 160, 4)))
    with_gamma(folder / "colour.png", folder / "gamma.png")
    Image.fromarray(colour).save(folder / "sideways.jpg", quality=90, exif=sideways)


def with_gamma(source: Path, to: Path) -> None:
    """A copy with a gAMA chunk that says linear light, which must change nothing."""
    png = source.read_bytes()
    chunk = b"gAMA" + (100000).to_bytes(4, "big")
    to.write_bytes(png[:33] + (4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:])


def write_film(golden: Path, to: Path) -> None:
    """Y4M, 4:2:0: a golden image in HU, enlarged, as a camera sees it."""
    image = np.load(golden).squeeze().astype(np.float32)
    grey = cv2.resize(((image + 160) / 400 * 255).clip(0, 255), (480, 480), interpolation=cv2.INTER_LINEAR)
    luma = np.full((480, 640), 16, np.uint8)
    luma[:, 80:560] = (16 + grey * 219 / 255).astype(np.uint8)
    frame = luma.tobytes() + bytes([128]) * (2 * 320 * 240)
    to.write_bytes(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420mpeg2\n" + 10 * (b"FRAME\n" + frame))


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that must be refused, and how the message begins."""
    png = cv2.imencode(".png", np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    deep = cv2.imencode(".png", np.zeros((40, 40), np.uint16))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    huge = png[:16] + (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big") + png[24:]
    four = nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4))
    nan = nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4))
    cases: dict[str, tuple[str, bytes, str]] = {
        "text": ("a.png", b"hello, this is no picture at all", "a.png is not a readable picture; allowed: PNG or JPEG"),
        "empty": ("b.png", b"", "b.png is truncated or not a picture"),
        "huge": ("c.png", huge, "c.png has 60000 x 60000 pixels; allowed: 1 to 8192 a side, 64 million in all"),
        "16 bits": ("d.png", deep, "d.png has 16 bits per channel; allowed: 8 bits per channel"),
        "cut png": ("e.png", png[:60], "e.png cannot be decoded"),
        "cut jpeg": ("f.jpg", jpeg[:30], "f.jpg is truncated or not a picture"),
        "4-D": ("g.nii", four.to_bytes(), "g.nii has shape (4,4,4,2); allowed: one 3-D volume"),
        "NaN": ("h.nii", nan.to_bytes(), "h.nii has NaN or infinite voxels"),
        "cut scan": ("i.nii", nan.to_bytes()[:400], "i.nii is truncated"),
        "no gzip": ("j.nii.gz", b"\x1f\x8bnot gzip" * 100, "j.nii.gz is truncated or damaged"),
        "a scan's name": ("k.nii", png * 20, "k.nii is not a readable NIfTI file"),
    }
    for name, data, _ in cases.values():
        (folder / name).write_bytes(data)
    return {key: (folder / name, start) for key, (name, _, start) in cases.items()}


def changed(bundle: Path, to: Path, change: Callable[[Path], None], *, sealed: bool) -> Path:
    """A copy of the bundle, changed, and sealed again or not."""
    shutil.copytree(bundle, to)
    change(to)
    if sealed:
        seal(to, list(open_bundle(bundle).artefacts))
    return to


def bad_bundles(bundle: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    """Bundles that must be refused, and what the banner says."""
    golden = sorted((bundle / "golden").iterdir())[0].name

    def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
        def change(root: Path) -> None:
            text = (root / name).read_text()
            assert old in text
            (root / name).write_text(text.replace(old, new, 1))

        return change

    def append(name: str) -> Callable[[Path], None]:
        return lambda root: (root / name).write_bytes((root / name).read_bytes() + b"x")

    def other_golden(root: Path) -> None:
        pixels = np.load(root / "golden" / golden / "pixels.npy")
        np.save(root / "golden" / golden / "pixels.npy", pixels + 1)

    def other_model(root: Path) -> None:
        shutil.copyfile(root / "tflite/model.int8.tflite", root / "tflite/model.fp32.tflite")

    def copied(name: str, change: Callable[[Path], None], *, sealed: bool = False) -> Path:
        return changed(bundle, folder / name.replace(" ", "-"), change, sealed=sealed)

    schema = '"schema": 1'
    return {
        "newer contract": (
            copied("newer contract", edit("contract.json", schema, '"schema": 2'), sealed=True),
            "Nothing is run: contract schema 2; allowed: schema 1; next: ",
        ),
        "newer manifest": (
            copied("newer manifest", edit("manifest.json", schema, '"schema": 2')),
            "Nothing is run: bundle schema 2; allowed: schema 1; next: ",
        ),
        "model changed": (
            copied("model changed", append("tflite/model.fp32.tflite")),
            "Nothing is run: tflite/model.fp32.tflite was changed: its SHA-256 is not the manifest's; next: ",
        ),
        "golden changed": (
            copied("golden changed", append(f"golden/{golden}/mask.npy")),
            f"Nothing is run: golden/{golden}/mask.npy was changed",
        ),
        "model absent": (
            copied("model absent", lambda root: (root / "tflite/model.fp32.tflite").unlink()),
            "Nothing is run: tflite/model.fp32.tflite is missing (404)",
        ),
        "preprocessing differs": (
            copied("preprocessing differs", other_golden, sealed=True),
            f"Nothing is run: preprocessing differs from the golden vectors: {golden}; next: ",
        ),
        "runtime differs": (
            copied("runtime differs", other_model, sealed=True),
            "Nothing is run: runtime differs: tflite-fp32 agrees with the golden masks on ",
        ),
    }
