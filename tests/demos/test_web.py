"""The web demo: JavaScript's contract under node, the page in a real Chromium, masks compared with Python's LiteRT.

apt-get install --no-install-recommends nodejs npm chromium
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pytest
from demos.tools import ROOT, missing, program, run
from demos.web.scans import write_scans
from numpy.typing import NDArray
from PIL import Image

from acwskd_edge.bundle import Bundle, open_bundle, seal
from acwskd_edge.data.nifti import read_volume
from acwskd_edge.data.phantom import Phantom
from acwskd_edge.files import sha256
from acwskd_edge.picture import read_picture
from acwskd_edge.predict import choose, segment_image

HERE = Path(__file__).parent / "web"
DEMO = ROOT / "web_demo"
Mask = NDArray[np.uint8]
Browser = Callable[..., Any]


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node; the page's libraries are in place."""
    found = program("node", package="nodejs")
    program("npm", package="npm")
    done = run(["make", "-C", str(ROOT), "web_demo/vendor/files.json"], timeout=300)
    if done.returncode:
        missing(f"web_demo's packages cannot be installed: {done.stderr.strip()[-300:]}")
    return found


@pytest.fixture(scope="session")
def browser(node: str) -> Browser:
    """Runs one script of tests/demos/web in a browser; returns what it reports."""
    chromium = program("chromium", "chromium-browser", "google-chrome", package="chromium")

    def call(script: str, **task: Any) -> Any:
        words = json.dumps({"chromium": chromium, **task}, default=str)
        done = run([node, str(HERE / f"{script}.mjs"), words], timeout=180)
        assert done.returncode == 0, f"{script}: {done.stderr[-3000:]}"
        return json.loads(done.stdout.splitlines()[-1])

    return call


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pictures of odd sizes: grey, colour, with alpha, a palette, a palette with alpha, a gamma; a JPEG on its side."""
    folder = tmp_path_factory.mktemp("pictures")
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
    return {path.stem: path for path in sorted(folder.iterdir())}


def with_gamma(source: Path, to: Path) -> None:
    """A copy with a gAMA chunk that says linear light, which must change nothing."""
    png = source.read_bytes()
    chunk = b"gAMA" + (100000).to_bytes(4, "big")
    to.write_bytes(png[:33] + (4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:])


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom's scan, stored sagittally with int16 voxels."""
    case = Phantom().load("phantom0003")
    voxels = case.image.astype(np.int16).transpose(2, 1, 0)  # columns to the left, rows to posterior: LPS
    frame = nib.Nifti1Image(voxels, np.diag([-case.spacing[2], -case.spacing[1], case.spacing[0], 1.0]))
    path = tmp_path_factory.mktemp("scan") / "phantom.nii.gz"
    nib.save(frame.as_reoriented(nib.orientations.axcodes2ornt("PSL")), path)
    return path


def python_mask(bundle: Bundle, artefact: str, image: NDArray[np.generic]) -> Mask:
    """What LiteRT says in Python, on the image's grid."""
    _, segment = choose(bundle, artefact)
    return np.asarray(segment_image(bundle.contract, segment, image[None])[0])


def saved_mask(path: Path) -> Mask:
    """A mask that the page saved: every channel holds the label ids."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return np.asarray(found[..., 0] if found.ndim == 3 else found, np.uint8)


def agreement(found: Mask, wanted: Mask) -> float:
    """Share of equal pixels."""
    assert found.shape == wanted.shape
    return float((found == wanted).mean())


def test_javascript_follows_the_contract(node: str, vectors: Path, tmp_path: Path) -> None:
    write_scans(tmp_path)
    done = run(
        [node, "--test", "--test-reporter", "tap", str(DEMO / "test")],
        env={"PATH": str(Path(node).parent), "VECTORS": str(vectors), "SCANS": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "\n# skipped 0" in done.stdout
    assert int(done.stdout.split("\n# pass ")[1].split()[0]) >= 5 * len(list(vectors.iterdir()))


@pytest.mark.parametrize(("plain", "threads"), [(True, 1), (False, 2)])
def test_masks_are_pythons(
    browser: Browser,
    web_bundle: Path,
    pictures: dict[str, Path],
    scan: Path,
    tmp_path: Path,
    plain: bool,
    threads: int,
) -> None:
    bundle, volume = open_bundle(web_bundle), read_volume(scan)
    wanted = {name: read_picture(path, bundle.contract) for name, path in pictures.items()}
    slices = [0, volume.voxels.shape[0] // 2, volume.voxels.shape[0] - 1]
    wanted |= {f"scan-{index}": volume.voxels[index] for index in slices}
    files: dict[str, Any] = {name: {"path": path} for name, path in pictures.items()}
    files["scan"] = {"path": scan, "slices": slices}
    artefacts = ["tflite-int8", "tflite-fp16", "tflite-fp32"]
    said = browser("files", plain=plain, artefacts=artefacts, files=files, out=tmp_path)
    assert said["trouble"] == []
    assert ("one thread" in said["first"]["machine"]) == plain
    assert f"wasm, {threads} thread" in said["first"]["selftest"]
    for artefact in artefacts:
        for name, image in wanted.items():
            equal = agreement(saved_mask(tmp_path / f"{artefact}-{name}.png"), python_mask(bundle, artefact, image))
            assert equal == 1.0 if artefact == "tflite-fp32" else equal >= 0.999, (artefact, name, equal)


def test_masks_of_a_colour_network(
    browser: Browser, colour_bundle: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    bundle = open_bundle(colour_bundle)
    files = {name: {"path": path} for name, path in pictures.items()}
    artefacts = ["tflite-int8", "tflite-fp16", "tflite-fp32"]
    said = browser("files", bundle=bundle.root, artefacts=artefacts, files=files, out=tmp_path)
    assert said["trouble"] == []
    for artefact in artefacts:
        for name, path in pictures.items():
            wanted = python_mask(bundle, artefact, read_picture(path, bundle.contract))
            equal = agreement(saved_mask(tmp_path / f"{artefact}-{name}.png"), wanted)
            assert equal == 1.0 if artefact == "tflite-fp32" else equal >= 0.999, (artefact, name, equal)
    assert "% of the picture" in said["classes"]
    for name, path in pictures.items():
        decoded = cv2.imread(str(tmp_path / f"{name}.png"))[..., ::-1]
        assert np.array_equal(decoded, read_picture(path, bundle.contract)), name


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Y4M, 4:2:0: a golden image, enlarged, as a camera sees it."""
    image = np.load(next((DEMO / "bundle/golden").iterdir()) / "image.npy").squeeze().astype(np.float32)
    grey = cv2.resize(((image + 160) / 400 * 255).clip(0, 255), (480, 480), interpolation=cv2.INTER_LINEAR)
    luma = np.full((480, 640), 16, np.uint8)
    luma[:, 80:560] = (16 + grey * 219 / 255).astype(np.uint8)
    frame = luma.tobytes() + bytes([128]) * (2 * 320 * 240)
    path = tmp_path_factory.mktemp("film") / "film.y4m"
    path.write_bytes(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420mpeg2\n" + 10 * (b"FRAME\n" + frame))
    return path


def test_camera(browser: Browser, web_bundle: Path, film: Path, tmp_path: Path) -> None:
    said = browser("camera", film=film, out=tmp_path)
    bundle = open_bundle(web_bundle)
    seen = read_picture(tmp_path / "camera.png", bundle.contract)
    wanted = python_mask(bundle, "tflite-fp32", seen)
    assert agreement(saved_mask(tmp_path / "camera-mask.png"), wanted) == 1.0
    assert len(np.unique(wanted)) > 5, "the film shows organs"
    assert said["known"]["caption"].startswith("camera, 640 x 480")
    assert said["denied"]["message"].startswith("no permission for the camera; next: allow it")
    assert said["none"]["message"].startswith("no camera was found; next: ")
    assert [one["trouble"] for one in said.values()] == [[], [], []]


def test_webgpu_where_there_is_an_adapter(
    browser: Browser, web_bundle: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    artefacts = ["tflite-int8", "tflite-fp16", "tflite-fp32"]
    said = browser("webgpu", artefacts=artefacts, file=pictures["grey"], out=tmp_path)
    assert said["trouble"] == []
    if not said["said"]:
        pytest.skip("this Chromium has no software WebGPU adapter")
    bundle = open_bundle(web_bundle)
    for artefact in artefacts:
        assert said["said"][artefact]["status"] == "self-test passed: ready", said["said"][artefact]
        assert "webgpu" in said["said"][artefact]["selftest"]
        wanted = python_mask(bundle, artefact, read_picture(pictures["grey"], bundle.contract))
        least = 0.99 if artefact == "tflite-int8" else 0.999  # a GPU computes an int8 file in floats: .9947 measured
        assert agreement(saved_mask(tmp_path / f"{artefact}.png"), wanted) >= least


def test_works_offline_and_can_be_installed(
    browser: Browser, web_bundle: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    said = browser("offline", file=pictures["grey"], out=tmp_path)
    assert said["kept"].startswith("yes")
    assert said["again"]["status"] == said["int8"]["status"] == "self-test passed: ready"
    assert "2 threads" in said["again"]["selftest"]
    bundle = open_bundle(web_bundle)
    wanted = python_mask(bundle, "tflite-int8", read_picture(pictures["grey"], bundle.contract))
    assert agreement(saved_mask(tmp_path / "offline.png"), wanted) >= 0.999
    assert [one["errorId"] for one in said["installabilityErrors"]] == ["in-incognito"], "only because of the test"
    assert [line for line in said["trouble"] if "ERR_INTERNET_DISCONNECTED" not in line] == []


def test_as_the_assets_of_an_app(browser: Browser) -> None:
    said = browser("webview", root=DEMO)
    assert said["said"]["status"] == "self-test passed: ready"
    assert "wasm, 1 thread" in said["said"]["selftest"]
    assert said["offline"].startswith("yes: the files are in the app")
    assert said["workers"] == 0
    assert said["absent"] == said["trouble"] == []


def test_exports_what_it_measured(browser: Browser, web_bundle: Path, tmp_path: Path) -> None:
    said = browser("latency", runs=12, out=tmp_path)
    assert said["refused"] == "0 runs; allowed: 1 to 1000"
    assert said["trouble"] == []
    assert said["name"] == "latency-tflite-fp32.json"
    found = json.loads((tmp_path / "latency.json").read_text())
    times, stages = found.pop("milliseconds"), found.pop("stages")
    assert len(times) == 12
    assert min(times) > 0
    assert set(stages) == {"pre", "post", "end_to_end"}
    total = np.add(np.add(stages["pre"], times), stages["post"])
    assert np.allclose(total, stages["end_to_end"])
    assert found == {
        "schema": 1,
        "contract": open_bundle(web_bundle).contract.name,
        "manifest_sha256": sha256(web_bundle / "manifest.json"),
        "artefact": "tflite-fp32",
        "runtime": "LiteRT.js 2.5.3",
        "accelerator": "wasm",
        "threads": 2,
        "isolated": True,
        "user_agent": said["agent"],
    }
    row = next(line for line in said["table"].splitlines() if line.startswith("model"))
    assert row.split()[-2:] == [f"{np.percentile(times, 50):.2f}", f"{np.percentile(times, 90):.2f}"]


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


def test_refuses_with_a_message(browser: Browser, web_bundle: Path, pictures: dict[str, Path], tmp_path: Path) -> None:
    files, bundles = bad_files(tmp_path), bad_bundles(web_bundle, tmp_path / "bundles")
    said = browser(
        "refusals",
        files={name: path for name, (path, _) in files.items()},
        good=pictures["grey"],
        bundles={name: path for name, (path, _) in bundles.items()},
    )
    for name, (_, start) in files.items():
        assert said["files"]["messages"][name].startswith(start), (name, said["files"]["messages"][name])
    assert said["files"]["good"] == "", "the page goes on after every one of them"
    assert said["files"]["trouble"] == []
    for name, (_, start) in bundles.items():
        assert said["bundles"][name]["banner"].startswith(start), (name, said["bundles"][name])
        assert said["bundles"][name]["status"] == "refused"
        assert not said["bundles"][name]["usable"]
    assert said["bundles"]["model changed, another chosen"]["usable"]
    assert said["bundles"]["model changed, another chosen"]["banner"] == ""
    assert said["overHttp"]["banner"].startswith("Nothing is run: this page came over plain http")
    assert "https or as http://localhost" in said["overHttp"]["banner"]


def test_looks_and_is_accessible(browser: Browser, tmp_path: Path) -> None:
    said = browser("looks", out=tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 4
    for name, found in said.items():
        assert found["violations"] == [], name
        assert found["tooWide"] == 0, name
        assert found.get("trouble", []) == []
    for shape in ("desktop", "phone"):
        assert said[f"{shape} light"]["stops"] == ["file", "camera", "example"]


def test_no_host_is_named() -> None:
    lock = json.loads((DEMO / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    own = [path for path in DEMO.rglob("*.*js*") if not {"node_modules", "vendor", "bundle"} & set(path.parts)]
    named = [
        path.name for path in own if "https://" in path.read_text().replace("https://appassets.androidplatform.net", "")
    ]
    assert named == []
