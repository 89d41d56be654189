"""The iOS demo, as far as Linux can prove it: the Swift package built and tested, the app's sources, its project.

Debian packages needed: util-linux (unshare), debian-archive-keyring, apt and dpkg, which Debian has. Debian trixie's
swiftlang, libc6-dev and libstdc++-14-dev are fetched by .ci/debian.py and run by .ci/swift.sh; nothing is installed.
"""

from __future__ import annotations

import json
import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tree_sitter
import tree_sitter_swift
from demos.tools import ROOT, debian, missing, program, run
from openstep_parser import OpenStepDecoder

from acwskd_edge import runtimes
from acwskd_edge.bundle import Bundle, open_bundle
from acwskd_edge.preprocess import mask_of, normalise
from acwskd_edge.verify import verify

DEMO = ROOT / "ios_demo"
APP = sorted((DEMO / "App").glob("*.swift"))
SOURCES = [*APP, *sorted((DEMO / "SegmentationKit").rglob("*.swift"))]
STUBS = (
    "CoreML",
    "ImageIO",
    "UIKit",
    "AVFoundation",
    "UniformTypeIdentifiers",
    "SwiftUI",
    "PhotosUI",
)  # in order of need
PROJECT = DEMO / "AcwskdDemo.xcodeproj"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return open_bundle(DEMO / "App/Bundle")


class Swift:
    """Debian's Swift 6 for programs that see ios_demo as their folder."""

    def __init__(self) -> None:
        program("unshare", package="util-linux")
        try:
            self.tree = debian("trixie", "swiftlang", "libc6-dev", "libstdc++-14-dev", dependencies=True)
        except subprocess.TimeoutExpired as error:
            missing(f"Debian's swiftlang was not fetched within {error.timeout:.0f} s")
        version = self("swiftc", "--version")
        if version.returncode:
            missing(f"Debian's swiftlang does not run here: {(version.stderr or version.stdout).strip()[-300:]}")

    def __call__(self, *command: str, scratch: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **env, **({"SCRATCH": str(scratch)} if scratch else {})}
        return run([str(ROOT / ".ci/swift.sh"), str(self.tree), str(DEMO), *command], timeout=300, env=env)


@pytest.fixture(scope="session")
def swift() -> Swift:
    return Swift()


@pytest.fixture(scope="session")
def outputs(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<artefact>/<golden>.npy: what each installed package computes on the golden pixels; expected.json: verdicts."""
    folder = tmp_path_factory.mktemp("outputs")
    expected = {}
    verdicts = {one.name: one.state == "ok" for one in verify(bundle)}
    for artefact in bundle.artefacts:
        model = runtimes.load(artefact.runtime, bundle.path(artefact))
        (folder / artefact.id).mkdir()
        equal = []
        for one in bundle.golden():
            logits = np.asarray(model(normalise(one.pixels, bundle.contract)), np.float32)
            np.save(folder / artefact.id / f"{one.name}.npy", logits)
            equal.append(mask_of(logits) == mask_of(one.logits))
        expected[artefact.id] = {"agreement": float(np.mean(equal)), "passed": verdicts[artefact.id]}
    (folder / "expected.json").write_text(json.dumps(expected))
    return folder


def test_the_installed_bundle_verifies(bundle: Bundle) -> None:
    assert {one.target for one in bundle.artefacts} == {"coreml"}
    checks = verify(bundle)
    assert {one.name: one.state for one in checks if one.state != "ok"} == {}
    assert len(checks) == 2 + len(bundle.artefacts)


@pytest.mark.slow
def test_segmentation_kit_passes_its_tests(swift: Swift, vectors: Path, outputs: Path, tmp_path: Path) -> None:
    shutil.copytree(vectors, tmp_path / "vectors")
    shutil.copytree(outputs, tmp_path / "outputs")
    done = swift(
        "swift-test",
        *("--package-path", "SegmentationKit", "--scratch-path", "/scratch/build"),
        *("-Xswiftc", "-warnings-as-errors"),
        scratch=tmp_path,
        ACWSKD_VECTORS="/scratch/vectors",
        ACWSKD_OUTPUTS="/scratch/outputs",
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    counts = re.findall(r"Executed (\d+) tests, with (.*?)0 failures", said)
    cases = sum(text.count("    func test") for text in (one.read_text() for one in SOURCES))
    assert (str(cases), "") in counts, f"{cases} tests are written, of them were executed (skips named): {counts}"


def test_the_app_parses_with_the_swift_compiler(swift: Swift) -> None:
    done = swift("swift-frontend", "-parse", *(str(one.relative_to(DEMO)) for one in APP))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_app_type_checks_against_what_we_know_of_apples_frameworks(swift: Swift, tmp_path: Path) -> None:
    """Finds our own slips; no evidence of Apple's declarations, see ios_stubs/README.md."""
    shutil.copytree(Path(__file__).parent / "ios_stubs", tmp_path / "stubs")
    kit = [str(one.relative_to(DEMO)) for one in SOURCES if "Sources" in one.parts]
    modules = {name: [f"/scratch/stubs/{name}.swift"] for name in STUBS} | {"SegmentationKit": kit}
    common = ("swiftc", "-wmo", "-parse-as-library", "-swift-version", "5", "-I", "/scratch")
    for name, sources in modules.items():
        place = f"/scratch/{name}.swiftmodule"
        done = swift(*common, "-emit-module", "-module-name", name, "-o", place, *sources, scratch=tmp_path)
        assert done.returncode == 0, done.stderr
    app = [str(one.relative_to(DEMO)) for one in APP]
    done = swift(*common, "-typecheck", "-warnings-as-errors", *app, scratch=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_sources_are_formatted(swift: Swift) -> None:
    done = swift("swift-format", "lint", "--strict", *(str(one.relative_to(DEMO)) for one in SOURCES))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_parses_with_tree_sitter(source: Path) -> None:
    """Needs no toolchain: what is left where the compiler is out of reach."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    assert parser.parse(b"struct A { func f( { }").root_node.has_error
    assert not parser.parse(source.read_bytes()).root_node.has_error


class Project:
    """The objects of project.pbxproj."""

    def __init__(self) -> None:
        with (PROJECT / "project.pbxproj").open() as stream:
            parsed = OpenStepDecoder.ParseFromFile(stream)
        self.objects: dict[str, dict[str, Any]] = parsed["objects"]
        self.root = self.objects[parsed["rootObject"]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.objects.values() if one["isa"] == kind]

    def files(self, group: dict[str, Any], place: Path = DEMO) -> dict[str, Path]:
        """Key -> path of every file that the group refers to in the source tree."""
        found = {}
        for key in group["children"]:
            one = self.objects[key]
            path = place / one.get("path", "")
            if one["isa"] == "PBXGroup":
                found.update(self.files(one, path))
            elif one["sourceTree"] == "<group>":
                found[key] = path
        return found

    def phase(self, kind: str) -> list[str]:
        """Keys of the files that a build phase of the only target takes."""
        (target,) = self.of("PBXNativeTarget")
        (phase,) = (self.objects[key] for key in target["buildPhases"] if self.objects[key]["isa"] == kind)
        return [self.objects[key].get("fileRef") or self.objects[key]["productRef"] for key in phase["files"]]


@pytest.fixture(scope="module")
def project() -> Project:
    return Project()


def test_every_file_of_the_project_exists(project: Project) -> None:
    files = project.files(project.objects[project.root["mainGroup"]])
    assert [path for path in files.values() if not path.exists()] == []
    (package,) = project.of("XCLocalSwiftPackageReference")
    assert (DEMO / package["relativePath"] / "Package.swift").is_file()


def test_no_key_of_the_project_leads_nowhere(project: Project) -> None:
    text = (PROJECT / "project.pbxproj").read_text()
    assert set(re.findall(r"\b[0-9A-F]{24}\b", text)) == set(project.objects)
    scheme = ElementTree.parse(PROJECT / "xcshareddata/xcschemes/AcwskdDemo.xcscheme")
    references = [one for one in scheme.iter("BuildableReference") if one.get("BuildableName") == "AcwskdDemo.app"]
    assert {project.objects[str(one.get("BlueprintIdentifier"))]["name"] for one in references} == {"AcwskdDemo"}


def test_the_target_takes_every_source_the_bundle_and_the_package(project: Project) -> None:
    files = project.files(project.objects[project.root["mainGroup"]])
    assert sorted(files[key] for key in project.phase("PBXSourcesBuildPhase")) == APP
    resources = {files[key].name: project.objects[key] for key in project.phase("PBXResourcesBuildPhase")}
    assert resources["Bundle"]["lastKnownFileType"] == "folder", "copied as it is, not taken apart"
    (product,) = project.phase("PBXFrameworksBuildPhase")
    assert project.objects[product]["productName"] == "SegmentationKit"


def test_the_app_says_what_it_needs(project: Project) -> None:
    settings = [one["buildSettings"] for one in project.of("XCBuildConfiguration")]
    assert {one["IPHONEOS_DEPLOYMENT_TARGET"] for one in settings if "SDKROOT" in one} == {"17.0"}
    targets = [one for one in settings if "PRODUCT_BUNDLE_IDENTIFIER" in one]
    assert {one["PRODUCT_BUNDLE_IDENTIFIER"] for one in targets} == {"org.acwskd.demo"}
    assert not any("DEVELOPMENT_TEAM" in one for one in settings)
    info = plistlib.loads((DEMO / targets[0]["INFOPLIST_FILE"]).read_bytes())
    assert info["NSCameraUsageDescription"]
    assert json.loads((DEMO / "App/Localizable.xcstrings").read_text())["sourceLanguage"] == "en"


def test_the_app_hard_codes_nothing_of_the_contract(bundle: Bundle) -> None:
    text = "".join(one.read_text() for one in SOURCES if "Tests" not in one.parts)
    assert [one.name for one in bundle.contract.labels[1:] if f'"{one.name}"' in text] == []
    assert not re.search(rf"\b{bundle.contract.height}\b", text.replace("0x", ""))
