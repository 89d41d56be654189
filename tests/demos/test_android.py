"""The Android demo: Java's contract as classes and as dex, the app against stubs, the WebView APK and its assets.

apt-get install --no-install-recommends aapt apksigner zipalign junit4 enjarify default-jdk-headless nodejs npm chromium
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from demos.tools import ROOT, debian, missing, program, run

from acwskd_edge import runtimes
from acwskd_edge.bundle import open_bundle
from acwskd_edge.evaluate import feed
from convert.install import APPS

DEMO = ROOT / "android_demo"
BUILD = DEMO / "build_debian.py"
BUNDLE = APPS["android_demo"].place
JUNIT = ["/usr/share/java/junit4.jar", "/usr/share/java/hamcrest-core.jar"]
WEB_APK = "acwskd-edge-web.apk"


def script() -> ModuleType:
    """The build script as a module."""
    spec = importlib.util.spec_from_file_location("build_debian", BUILD)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_debian"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sdk() -> None:
    """The programs that build and check packages, and the jars of another suite."""
    for name in ("aapt", "zipalign", "apksigner"):
        program(name, package=name)
    program("javac", package="default-jdk-headless")
    debian("bullseye", "dalvik-exchange", "libandroid-23-java")


@pytest.fixture(scope="session")
def compiled(sdk: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Core and app, compiled and dexed: core/, classes/, classes.dex."""
    out = tmp_path_factory.mktemp("android")
    done = run([sys.executable, str(BUILD), "check", "--out", str(out)], timeout=300)
    assert done.returncode == 0, done.stderr
    return out / "check"


@pytest.fixture(scope="session")
def suite(compiled: Path) -> Path:
    """JUnit's classes."""
    if absent := [jar for jar in JUNIT if not Path(jar).is_file()]:
        missing(f"no {', '.join(absent)}: apt-get install junit4")
    out = compiled.parent / "tests"
    sources = sorted(str(file) for file in (DEMO / "core/src/test").rglob("*.java"))
    options = ["-Xlint:all,-options", "-Werror", "--release", "8", "-encoding", "UTF-8"]
    paths = ["-cp", ":".join([str(compiled / "core"), *JUNIT]), "-d", str(out)]
    done = run(["javac", *options, *paths, *sources])
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's artefacts on the golden pixels, as LiteRT answers here: ARTEFACT/GOLDEN.npy, logits (1, h, w, K)."""
    out, bundle = tmp_path_factory.mktemp("recorded"), open_bundle(BUNDLE)
    for artefact in bundle.artefacts:
        model = runtimes.load(artefact.runtime, bundle.path(artefact))
        (out / artefact.id).mkdir()
        for one in bundle.golden():
            logits = np.asarray(model(feed(one.pixels, bundle.contract, artefact.io)), np.float32)
            np.save(out / artefact.id / f"{one.name}.npy", np.ascontiguousarray(logits.transpose(0, 2, 3, 1)))
    return out


def junit(classes: Path, suite: Path, vectors: Path, recorded: Path) -> int:
    """Run every test class on these classes of core; returns how many tests passed."""
    names = [f"org.acwskd.edge.{file.stem}" for file in (DEMO / "core/src/test").rglob("*Test.java")]
    places = [f"-Dacwskd.vectors={vectors}", f"-Dacwskd.bundle={BUNDLE}", f"-Dacwskd.recorded={recorded}"]
    path = ":".join([str(classes), str(suite), *JUNIT])
    done = run(["java", *places, "-cp", path, "org.junit.runner.JUnitCore", *sorted(names)])
    found = re.search(r"^OK \((\d+) tests\)$", done.stdout, re.MULTILINE)
    assert found, done.stdout[-3000:] + done.stderr
    return int(found.group(1))


def test_java_follows_the_contract(compiled: Path, suite: Path, vectors: Path, recorded: Path) -> None:
    assert junit(compiled / "core", suite, vectors, recorded) >= 7 * len(list(vectors.iterdir()))


def test_so_does_the_bytecode_that_a_phone_would_run(
    compiled: Path, suite: Path, vectors: Path, recorded: Path
) -> None:
    jar = compiled / "dex.jar"
    command = [program("enjarify", package="enjarify"), "-f", "-o", str(jar), str(compiled / "classes.dex")]
    done = run(command, env={"PATH": "/usr/bin:/bin"})  # it is a module of Debian's own python3
    assert done.returncode == 0, done.stdout + done.stderr
    assert "org/acwskd/edge/app/MainActivity.class" in zipfile.ZipFile(jar).namelist()
    assert junit(jar, suite, vectors, recorded) >= 7 * len(list(vectors.iterdir()))


def test_stubs_are_in_no_package(compiled: Path) -> None:
    assert (compiled / "stubs/org/tensorflow/lite/Interpreter.class").is_file()
    assert b"UnsupportedOperationException" not in (compiled / "classes.dex").read_bytes()
    assert "stubs" not in "".join(file.read_text() for file in DEMO.rglob("*.kts"))


def test_core_knows_no_android() -> None:
    for file in (DEMO / "core").rglob("*.java"):
        assert not re.search(r"\bandroid[x]?\.", file.read_text()), file


def test_the_shipped_bundle_is_sound() -> None:
    bundle = open_bundle(BUNDLE)
    assert [one.precision for one in bundle.artefacts] == ["fp32", "fp16", "int8"]
    assert sum(file.stat().st_size for file in BUNDLE.rglob("*") if file.is_file()) < 2_500_000


def test_gradle_manifests_and_sources_agree() -> None:
    gradle = script().Gradle
    read = {name: (DEMO / name / "build.gradle.kts").read_text() for name in ("core", "app", "webview")}
    included = re.findall(r'":(\w+)"', (DEMO / "settings.gradle.kts").read_text())
    assert sorted(included) == sorted(read)
    for name in ("app", "webview"):
        facts = gradle.read(DEMO / name)
        sources = list((DEMO / name / "src/main/java").rglob("*.java"))
        packages = {re.search(r"^package (.+);", file.read_text(), re.MULTILINE).group(1) for file in sources}  # type: ignore[union-attr]
        assert packages == {facts.application} == set(re.findall(r'namespace = "(.+)"', read[name]))
        assert (facts.least_sdk, facts.target_sdk) == ("23", "34")
        manifest = (DEMO / name / "src/main/AndroidManifest.xml").read_text()
        assert "package=" not in manifest
        assert "uses-sdk" not in manifest
        for kind in re.findall(r'android:name="(org\.acwskd\..+?)"', manifest):
            assert (DEMO / name / f"src/main/java/{kind.replace('.', '/')}.java").is_file(), kind
    assert BUNDLE == DEMO / "app/src/main/assets/bundle"
    assert 'noCompress += "tflite"' in read["app"]
    assert re.findall(r'"com\.google\.ai\.edge\.litert:(.+?):(.+?)"', read["app"]) == [
        ("litert", "$litert"),
        ("litert-gpu", "$litert"),
    ]
    assert re.findall(r'val litert = "(.+)"', read["app"]) == ["1.4.2"]


def test_the_app_asks_for_no_permission() -> None:
    assert "uses-permission" not in (DEMO / "app/src/main/AndroidManifest.xml").read_text()
    asked = re.findall(
        r'uses-permission android:name="(.+?)"', (DEMO / "webview/src/main/AndroidManifest.xml").read_text()
    )
    assert asked == ["android.permission.CAMERA"]


def test_every_text_is_a_resource_that_is_used() -> None:
    for name in ("app", "webview"):
        source = DEMO / name / "src/main"
        strings = re.findall(r'<string name="(\w+)"', (source / "res/values/strings.xml").read_text())
        kinds = (*source.rglob("*.java"), *source.rglob("res/layout/*.xml"), source / "AndroidManifest.xml")
        uses = "".join(file.read_text() for file in kinds)
        assert [one for one in strings if not re.search(rf"R\.string\.{one}\b|@string/{one}\b", uses)] == []
        assert not re.search(r'android:(text|contentDescription|label)="[^@]', uses)


@pytest.fixture(scope="session")
def apk(sdk: None, node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The WebView APK, built and signed."""
    out = tmp_path_factory.mktemp("webview")
    done = run([sys.executable, str(BUILD), "--out", str(out)], timeout=300)
    assert done.returncode == 0, done.stderr
    assert "not run on a phone" in done.stdout
    assert f"next: adb install -r {out / WEB_APK}" in done.stdout
    return out / WEB_APK


def test_the_apk_is_signed_and_aligned(apk: Path) -> None:
    said = run(["apksigner", "verify", "--verbose", str(apk)])
    assert said.returncode == 0, said.stderr
    for number in (1, 2, 3):
        assert re.search(rf"Verified using v{number} scheme .*: true", said.stdout), said.stdout
    assert run(["zipalign", "-c", "4", str(apk)]).returncode == 0
    assert apk.stat().st_size < 12_000_000


def test_the_apk_says_what_gradle_says(apk: Path) -> None:
    badging = run(["aapt", "dump", "badging", str(apk)]).stdout
    facts = script().Gradle.read(DEMO / "webview")
    assert (
        f"name='{facts.application}' versionCode='{facts.version_code}' versionName='{facts.version_name}'" in badging
    )
    assert f"sdkVersion:'{facts.least_sdk}'" in badging
    assert f"targetSdkVersion:'{facts.target_sdk}'" in badging
    assert "launchable-activity: name='org.acwskd.edge.web.WebActivity'" in badging
    assert re.findall(r"uses-permission: name='(.+?)'", badging) == ["android.permission.CAMERA"]


def test_the_apk_holds_what_the_page_needs_and_no_more(apk: Path) -> None:
    archive = zipfile.ZipFile(apk)
    names = [one.removeprefix("assets/www/") for one in archive.namelist() if one.startswith("assets/")]
    assert {"index.html", "app.mjs", "vendor/wasm/litert_wasm_internal.wasm", "bundle/manifest.json"} <= set(names)
    assert [one for one in names if re.search(r"threaded|node_modules|^test/|serve|sw\.js|README", one)] == []
    for info in archive.infolist():
        assert not info.filename.endswith(".tflite") or info.compress_type == zipfile.ZIP_STORED
        assert "keystore" not in info.filename


def test_the_assets_inside_the_apk_infer(
    apk: Path, node: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chromium = program("chromium", "chromium-browser", "google-chrome", package="chromium")
    inside = tmp_path_factory.mktemp("inside")
    zipfile.ZipFile(apk).extractall(inside)
    root = inside / "assets/www"
    page = (DEMO / "webview/src/main/java/org/acwskd/edge/web/Page.java").read_text()
    bundle = open_bundle(root / "bundle")
    golden = bundle.golden()
    task: dict[str, Any] = {
        "chromium": chromium,
        "root": str(root),
        "types": dict(re.findall(r'TYPES\.put\("(\w+)", "(.+?)"\)', page)),
        "examples": [one.name for one in golden],
        "artefacts": [one.id for one in bundle.artefacts],
        "out": str(tmp_path),
    }
    done = run([node, str(Path(__file__).parent / "android/apk.mjs"), json.dumps(task)], timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["absent"] == found["trouble"] == []
    assert found["secure"]
    for artefact, said in found["said"].items():
        assert said["status"] == "self-test passed: ready", said
        assert said["banner"] == ""
        for one in golden:
            mask = cv2.imread(str(tmp_path / f"{artefact}-{one.name}.png"), cv2.IMREAD_COLOR)[..., 0]
            equal = float(np.mean(mask == one.mask))
            assert equal == 1.0 if artefact == "tflite-fp32" else equal > 0.995, (artefact, one.name, equal)


def test_errors_name_the_next_command(sdk: None, tmp_path: Path) -> None:
    done = run([sys.executable, str(BUILD), "--out", str(tmp_path), "--web", str(tmp_path)])
    assert done.returncode == 1
    assert done.stderr.startswith("error: no ")
    assert "next: make android-demo" in done.stderr
    bare = run([sys.executable, str(BUILD), "check", "--out", str(tmp_path)], env={"PATH": str(tmp_path)})
    assert bare.returncode == 1
    assert "next: apt-get install --no-install-recommends aapt apksigner default-jdk-headless zipalign" in bare.stderr
