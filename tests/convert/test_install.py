"""`--install APP`: a demo app gets a sealed bundle of what it can run; the shipped ones are sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acwskd_edge.bundle import open_bundle
from acwskd_edge.errors import UsageError
from acwskd_edge.verify import verify
from convert import install as module
from convert.install import APPS, find_app, install_one

SHIPPED = APPS["web_demo"].place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where android_demo's bundle goes in this test."""
    monkeypatch.setitem(APPS, "android_demo", replace(APPS["android_demo"], place=tmp_path / "app/bundle"))
    return tmp_path / "app/bundle"


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


class TestShipped:
    @pytest.mark.parametrize("name", APPS)
    def test_every_app_has_a_bundle_that_verifies(self, name: str) -> None:
        bundle = open_bundle(APPS[name].place)
        assert {one.state for one in verify(bundle)} == {"ok"}
        assert {one.precision for one in bundle.artefacts} == {"fp32", "fp16", "int8"}

    @pytest.mark.parametrize("name", APPS)
    def test_no_file_is_large(self, name: str) -> None:
        assert max(map(len, files(APPS[name].place).values())) < 1_000_000


class TestInstall:
    def test_writes_a_bundle_and_says_how_to_go_on(self, place: Path) -> None:
        said = install_one(open_bundle(SHIPPED), "android_demo")
        assert "android_demo: tflite-fp32 (0.50 MB)" in said[0]
        assert said[-1] == "  next: open android_demo in Android Studio"
        assert files(place) == files(SHIPPED)

    def test_real_images_come_with_a_warning(self, place: Path) -> None:
        bundle = open_bundle(SHIPPED)
        real = replace(bundle, contract=bundle.contract.with_provenance(data="flare22"))
        assert "images of flare22: do not give them away" in install_one(real, "android_demo")[1]

    def test_what_the_app_cannot_run_is_refused_and_what_is_there_stays(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install_one(open_bundle(SHIPPED), "android_demo")
        before = files(place)
        with pytest.raises(
            UsageError, match=r"nothing that android_demo can run \(coreml-fp32, .*; allowed: target tflite"
        ):
            install_one(open_bundle(APPS["ios_demo"].place), "android_demo")
        monkeypatch.setattr(module, "MOST", 600_000)
        with pytest.raises(UsageError, match=r"tflite-fp32 0.5 MB, .* for a phone; allowed: 0.6 MB in all"):
            install_one(open_bundle(SHIPPED), "android_demo")
        assert files(place) == before

    def test_an_unknown_app_is_refused(self) -> None:
        with pytest.raises(UsageError, match="unknown app 'watch_demo'; allowed: web_demo, android_demo, ios_demo"):
            find_app("watch_demo")
