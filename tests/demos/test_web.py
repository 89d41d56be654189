"""The web demo: JavaScript's contract under node, the page in a real Chromium, masks compared with Python's LiteRT.

apt-get install --no-install-recommends nodejs npm chromium
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pytest
from demos.tools import ROOT, program, run
from demos.web.inputs import bad_bundles, bad_files, write_film, write_pictures
from demos.web.scans import write_scans
from numpy.typing import NDArray

from acwskd_edge.bundle import Bundle, open_bundle
from acwskd_edge.data.nifti import read_volume
from acwskd_edge.data.phantom import Phantom
from acwskd_edge.files import sha256
from acwskd_edge.picture import read_picture, tint
from acwskd_edge.predict import choose, segment_image

HERE = Path(__file__).parent / "web"
DEMO = ROOT / "web_demo"
Mask = NDArray[np.uint8]
Browser = Callable[..., Any]


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
    write_pictures(folder)
    return {path.stem: path for path in sorted(folder.iterdir())}


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
    said = browser("files", bundle=bundle.root, artefacts=artefacts, files=files, out=tmp_path, opacity=60)
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
    name, path = list(pictures.items())[-1]
    drawn = tint(
        read_picture(path, bundle.contract), saved_mask(tmp_path / f"tflite-fp32-{name}.png"), bundle.contract, 0.6
    )
    assert np.array_equal(cv2.imread(str(tmp_path / "overlay.png"))[..., ::-1], drawn)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Y4M, 4:2:0: a golden image, enlarged, as a camera sees it."""
    path = tmp_path_factory.mktemp("film") / "film.y4m"
    write_film(next((DEMO / "bundle/golden").iterdir()) / "image.npy", path)
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
    assert said["files"]["dropped"].startswith("grey.png")
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
