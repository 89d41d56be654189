"""Build kits: `stand_in_gpu` plays TensorRT and CUDA where a real one is absent; TensorRT-RTX is NVIDIA's own."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_in_gpu

from acwskd_edge import runtimes
from acwskd_edge.bundle import open_bundle
from acwskd_edge.contract import Contract
from acwskd_edge.errors import MissingDependency, RefusedError, UsageError
from acwskd_edge.files import sha256
from acwskd_edge.preprocess import normalise, to_image
from acwskd_edge.runtimes import trt_common
from acwskd_edge.verify import verify
from convert import kits
from convert.basis import Settings
from convert.pipeline import convert

rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="TensorRT-RTX is not installed"
)


@dataclass
class Converted:
    run: Path
    screen: str

    @property
    def kit(self) -> Path:
        return self.run / "jetson/int8-raw"

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.run / "bundle/report.json").read_text())["kits"][0]


@pytest.fixture(scope="module")
def converted(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The tiny run converted on a machine without TensorRT."""
    run = tmp_path_factory.mktemp("kits") / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("bundle"))
    done = subprocess.run(
        [sys.executable, "-m", "convert", run, "--target", "jetson", "--precision", "int8", "--io", "raw"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Converted(run, done.stdout)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_gpu.compiled(tmp_path_factory.mktemp("cudart"))


@dataclass
class Machine:
    """One that runs a copy of the kit's scripts."""

    kit: Path
    env: dict[str, str]

    def run(self, stage: str, **env: str) -> tuple[int, str]:
        """Exit code, and all that it says."""
        done = subprocess.run(
            [sys.executable, self.kit / f"{stage}.py"],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") <= 1
        return done.returncode, done.stdout + done.stderr

    def wrote(self, stage: str) -> dict[str, Any]:
        return dict(json.loads((self.kit / f"{stage}.json").read_text()))


@pytest.fixture
def bare(converted: Converted, tmp_path: Path) -> Machine:
    """No TensorRT."""
    shutil.copytree(converted.kit, tmp_path / "kit")
    return Machine(tmp_path / "kit", {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"})


@pytest.fixture
def gpu(bare: Machine, library: Path) -> Machine:
    """The stand-in's TensorRT 10.3 and its GPU."""
    bare.env |= {"PYTHONPATH": str(stand_in_gpu.HERE / "python"), "ACWSKD_CUDART": str(library)}
    return bare


class TestKit:
    def test_the_screen_says_that_nothing_was_built_and_what_to_do(self, converted: Converted) -> None:
        assert "jetson/int8-raw.tar.gz" in converted.screen
        assert "NOT BUILT" in converted.screen
        assert "no engine was built here: TensorRT cannot be imported" in converted.screen
        assert "on the device: tar xzf int8-raw.tar.gz && cd int8-raw && python3 preflight.py" in converted.screen
        assert converted.report["state"] == "not built"

    @rtx
    def test_nvidias_parser_and_builder_take_the_graph_for_two_architectures(self, converted: Converted) -> None:
        seen = converted.report["tensorrt_rtx"]
        assert seen["parse_errors"] == 0
        assert seen["strongly_typed"]
        assert seen["network"]["convolutions"] == 19
        assert seen["network"]["int8_convolutions"] == 17  # all but the first and the last
        assert [one["architecture"] for one in seen["engines"]] == ["SM86", "SM89"]
        for one in seen["engines"]:
            # What the compiler made of it: "correlation" is its convolution; it has no int8 transposed convolution.
            assert one["layers"]["correlation Int8"] == 14
            assert one["layers"]["correlation Float"] == 2
            assert one["layers"]["maxpool Int8"] == 3

    def test_it_is_whole_and_the_archive_is_the_folder(self, converted: Converted, tmp_path: Path) -> None:
        facts = json.loads((converted.kit / "kit.json").read_text())
        files = {str(one.relative_to(converted.kit)) for one in converted.kit.rglob("*") if one.is_file()}
        assert files == {*facts["files"], "kit.json"}
        assert {"model.onnx", "contract.json", "README.txt", "golden", "cases"} <= {one.split("/")[0] for one in files}
        assert all(sha256(converted.kit / name) == value for name, value in facts["files"].items())
        with tarfile.open(converted.kit.with_name("int8-raw.tar.gz")) as archive:
            archive.extractall(tmp_path, filter="data")
        assert all(sha256(tmp_path / "int8-raw" / name) == sha256(converted.kit / name) for name in files)

    def test_its_scripts_are_python_3_8_and_the_first_tells_an_older_one(self, converted: Converted) -> None:
        scripts = sorted(converted.kit.glob("*.py"))
        assert len(scripts) == 5
        for one in scripts:
            ast.parse(one.read_text(), feature_version=(3, 8))
        first = (converted.kit / "preflight.py").read_text()
        ast.parse(first, feature_version=(3, 6))
        assert "from __future__" not in first
        assert first.index("sys.version_info < (3, 8)") < first.index("import trt_common")

    def test_it_asks_nothing_of_numpy_that_jetpack_5_lacks(self, converted: Converted) -> None:
        scripts = "import sys; sys.modules['numpy.typing'] = None; import preflight, build, run, time_engine"
        subprocess.run([sys.executable, "-c", scripts], cwd=converted.kit, check=True)

    def test_its_gate_is_paired_with_the_checkpoint(self, converted: Converted) -> None:
        entry = open_bundle(converted.run).report["artefacts"][0]
        facts = json.loads((converted.kit / "kit.json").read_text())
        dice = [one["dice"] for one in facts["gate"]["cases"]]
        for name in facts["gate"]["classes"]:
            known = [one[name] for one in dice if one[name] is not None]
            assert entry["checkpoint_dice"][name] == pytest.approx(np.mean(known) if known else None, abs=1e-6)

    def test_its_indices_put_a_mask_onto_the_cases_own_grid(self, converted: Converted) -> None:
        folder = converted.kit / "cases/000"
        rows, columns, label = (np.load(folder / f"{name}.npy") for name in ("rows", "columns", "label"))
        contract = Contract.load(converted.kit / "contract.json")
        mask = np.random.default_rng(0).integers(0, 9, (contract.height, contract.width)).astype(np.uint8)
        np.testing.assert_array_equal(mask[rows[:, None], columns], to_image(mask, contract, *label.shape[1:]))

    def test_its_input_is_the_librarys(self, contract: Contract) -> None:
        pixels = np.random.default_rng(0).integers(-500, 500, (32, 48, 1)).astype(np.int16)
        facts = json.loads(contract.to_json())
        np.testing.assert_array_equal(trt_common.network_input(pixels, facts, "tensor"), normalise(pixels, contract))
        np.testing.assert_array_equal(trt_common.network_input(pixels, facts, "raw")[0, 0], pixels[..., 0])

    def test_the_same_conversion_again_leaves_it_alone(
        self, converted: Converted, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = {key: value for key, value in converted.report.items() if key != "device"}
        times = {one: one.stat().st_mtime_ns for one in converted.kit.rglob("*")}
        convert(converted.run, Settings(["jetson"], ["int8"], ["raw"]))
        assert "up to date" in capsys.readouterr().out
        assert {one: one.stat().st_mtime_ns for one in converted.kit.rglob("*")} == times
        assert {key: converted.report[key] for key in before} == before


class TestScripts:
    @pytest.mark.parametrize(("version", "strong"), [("8.6.2", False), ("10.3.0", True), ("11.4.0", True)])
    def test_build_verify_and_time_with_every_api(self, gpu: Machine, version: str, strong: bool) -> None:
        gpu.env["FAKE_TENSORRT"] = version
        for stage in kits.STAGES:
            code, said = gpu.run(stage)
            assert code == 0, said
        built, run, timed = (gpu.wrote(stage) for stage in kits.STAGES[1:])
        assert built["strongly_typed"] is strong
        assert built["network"]["int8_convolutions"] == 17
        fingerprint = json.loads((gpu.kit / "model.engine.json").read_text())
        assert fingerprint == built["fingerprint"]
        assert (fingerprint["tensorrt"], fingerprint["compute_capability"]) == (f"tensorrt {version}", "8.7")
        assert run["verdict"] == "passed"
        assert run["dice_change"]["mean"] > -0.01
        assert run["cuda_graph"]
        assert set(timed["milliseconds"]) == {"copy_in", "compute", "copy_out", "call"}
        assert (timed["bytes_in"], timed["bytes_out"]) == (4 * 32 * 32, 32 * 32)
        for stage in kits.STAGES[1:]:
            assert "up to date" in gpu.run(stage)[1]

    def test_a_dla_takes_a_weakly_typed_network_before_tensorrt_11(self, gpu: Machine) -> None:
        path = gpu.kit / "kit.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({**facts, "precision": "int8", "flags": {**facts["flags"], "dla": 0}}))
        code, said = gpu.run("build")
        assert code == 1
        assert "no deep learning accelerator 0 here: TensorRT 10.3.0 sees 0; next: convert again without --dla" in said
        assert gpu.run("build", FAKE_DLA_CORES="2")[0] == 0
        built = gpu.wrote("build")
        assert not built["strongly_typed"]
        assert built["layers_on_dla"] > 19

    def test_an_engine_that_answers_wrongly_is_refused(self, gpu: Machine) -> None:
        assert gpu.run("build")[0] == 0
        for _ in range(2):  # the second time from run.json
            code, _ = gpu.run("run", FAKE_WRONG="1")
            assert code == 3
        reasons = gpu.wrote("run")["reasons"]
        assert any(one.startswith("Dice of spleen drops by") for one in reasons)
        assert any(one.startswith("golden vectors agree in") for one in reasons)

    def test_an_engine_of_another_gpu_is_refused_until_it_is_built_again(self, gpu: Machine) -> None:
        assert gpu.run("build")[0] == 0
        code, said = gpu.run("run", FAKE_MINOR="6")
        assert code == 6
        assert "compute_capability 8.7 here 8.6; next: python3 build.py" in said
        assert "up to date" not in gpu.run("build", FAKE_MINOR="6")[1]
        assert gpu.run("run", FAKE_MINOR="6")[0] == 0

    def test_an_engine_that_lost_its_fingerprint_file_carries_it_inside(self, gpu: Machine) -> None:
        assert gpu.run("build")[0] == 0
        beside = gpu.kit / "model.engine.json"
        wanted = json.loads(beside.read_text())
        beside.unlink()
        del wanted["engine_sha256"]
        assert trt_common.fingerprint_of(gpu.kit / "model.engine") == wanted
        assert gpu.run("run", FAKE_MINOR="6")[0] == 6
        assert gpu.run("run")[0] == 0
        (gpu.kit / "model.engine").write_bytes(b"another engine")
        assert trt_common.fingerprint_of(gpu.kit / "model.engine") == {}

    def test_a_tensorrt_without_names_for_inputs_and_outputs(self, gpu: Machine) -> None:
        code, said = gpu.run("preflight", FAKE_TENSORRT="8.2.1")
        assert code == 4
        assert "TensorRT 8.2.1 is too old: 8.5 or later is needed; next: JetPack 5.1 or later, or " in said

    def test_no_tensorrt(self, bare: Machine) -> None:
        code, said = bare.run("preflight")
        assert code == 4
        assert said.startswith("error: TensorRT cannot be imported")
        assert "; next: sudo apt-get install" in said
        assert bare.wrote("preflight")["trouble"]["code"] == 4

    def test_no_gpu(self, gpu: Machine) -> None:
        for stage in ("preflight", "build"):
            code, said = gpu.run(stage, FAKE_NO_GPU="1")
            assert code == 4
            assert "no CUDA-capable device" in said

    @pytest.mark.parametrize("what", ["disk", "memory"])
    def test_too_little_room(self, gpu: Machine, what: str) -> None:
        path = gpu.kit / "kit.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({**facts, "needs": {**facts["needs"], what: 10**18}}))
        code, said = gpu.run("build")
        assert code == 5
        assert f"of {what} free" in said
        assert not (gpu.kit / "model.engine").exists()

    def test_nothing_built_yet(self, gpu: Machine) -> None:
        code, said = gpu.run("run")
        assert (code, "next: python3 build.py" in said) == (1, True)

    def test_a_changed_file(self, gpu: Machine) -> None:
        (gpu.kit / "model.onnx").write_bytes(b"")
        code, said = gpu.run("build")
        assert code == 1
        assert "model.onnx is missing or was changed; next: copy the whole kit again" in said

    @rtx
    def test_nvidias_evidence_is_of_tensorrt_rtx_on_the_cpu_where_there_is_tensorrt_and_a_gpu_too(
        self, gpu: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("PYTHONPATH", "ACWSKD_CUDART"):
            monkeypatch.setenv(name, gpu.env[name])
        seen = kits.parsed_by_rtx(kits.Kit(gpu.kit, json.loads((gpu.kit / "kit.json").read_text())))
        assert seen["tensorrt"].startswith("tensorrt_rtx ")
        assert [one["architecture"] for one in seen["engines"]] == ["SM86", "SM89"]

    @rtx
    def test_a_graph_for_a_dla_is_parsed_and_built_for_a_gpu(self, bare: Machine) -> None:
        facts = json.loads((bare.kit / "kit.json").read_text())
        seen = kits.parsed_by_rtx(kits.Kit(bare.kit, {**facts, "flags": {**facts["flags"], "dla": 0}}))
        assert [one["architecture"] for one in seen["engines"]] == ["SM86", "SM89"]

    @rtx
    def test_nvidias_own_engine_carries_its_fingerprint_inside(self, bare: Machine) -> None:
        path = bare.kit / "kit.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "rtx": ["SM86"]}))
        assert bare.run("build")[0] == 0
        (bare.kit / "model.SM86.engine.json").unlink()
        inside = trt_common.fingerprint_of(bare.kit / "model.SM86.engine")
        assert inside["onnx_sha256"] == sha256(bare.kit / "model.onnx")
        assert inside["tensorrt"].startswith("tensorrt_rtx ")

    @rtx
    def test_tensorrt_rtx_builds_here_and_says_that_it_cannot_run(self, bare: Machine) -> None:
        path = bare.kit / "kit.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "rtx": ["SM75", "SM120"]}))
        assert bare.run("preflight")[0] == 0
        assert bare.run("build")[0] == 0
        assert [one["engine"] for one in bare.wrote("build")["engines"]] == ["model.SM75.engine", "model.SM120.engine"]
        assert "up to date" in bare.run("build")[1]
        code, said = bare.run("run")
        assert code == 4, said

    @rtx
    def test_what_nvidias_parser_refuses_is_one_line(self, bare: Machine) -> None:
        path = bare.kit / "kit.json"
        facts = json.loads(path.read_text())
        (bare.kit / "model.onnx").write_bytes(b"no graph")
        facts["files"]["model.onnx"] = sha256(bare.kit / "model.onnx")
        path.write_text(json.dumps({**facts, "rtx": ["SM86"]}))
        code, said = bare.run("build")
        assert code == 1
        assert "cannot parse model.onnx" in said


class TestEngineInTheBundle:
    @pytest.fixture
    def here(self, converted: Converted, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The run converted again on a machine with (the stand-in's) TensorRT and GPU."""
        run = tmp_path / "run"
        shutil.copytree(converted.run, run)
        monkeypatch.setenv("PYTHONPATH", str(stand_in_gpu.HERE / "python"))
        monkeypatch.setenv("ACWSKD_CUDART", str(library))
        monkeypatch.syspath_prepend(stand_in_gpu.HERE / "python")
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
        convert(run, Settings(["jetson"], ["int8"], ["raw"]))
        yield run
        sys.modules.pop("tensorrt", None)

    def test_its_progress_was_on_the_screen(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        convert(here, Settings(["jetson"], ["int8"], ["raw"]))
        assert "\n  build: up to date\n  run: up to date (passed)\n" in capsys.readouterr().out

    def test_it_is_sealed_verified_and_runs(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bundle = open_bundle(here)
        engine = bundle.find("trt-int8-raw")
        assert engine.runtime == "tensorrt"
        assert bundle.measured(engine)["verdict"] == "passed"
        kit = bundle.report["kits"][0]
        assert kit["state"] == "passed"
        assert kit["device"]["build"]["fingerprint"]["tensorrt"] == "tensorrt 10.3.0"
        assert {check.name: check.state for check in verify(bundle)}["trt-int8-raw"] == "ok"
        runtime = runtimes.load("tensorrt", bundle.path(engine))
        with pytest.raises(UsageError, match=r"allowed: \(1, 1, 32, 32\)"):
            runtime(np.zeros((1, 1, 8, 8)))
        monkeypatch.setenv("FAKE_MINOR", "2")
        with pytest.raises(RefusedError, match=r"compute_capability 8\.7 here 8\.2; next: python -m convert"):
            runtimes.load("tensorrt", bundle.path(engine))
        monkeypatch.setitem(sys.modules, "tensorrt", None)
        with pytest.raises(MissingDependency, match="TensorRT cannot be imported"):
            runtimes.load("tensorrt", bundle.path(engine))
        assert {check.name: check.state for check in verify(bundle)}["trt-int8-raw"] == "skipped"
