"""The README's own commands, typed in its order on a tiny FLARE2022 folder with short schedules."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest
from disk import write_flare

from benchmarks.collect import markdown, read_csv, summary
from benchmarks.comparison import compare
from benchmarks.conversions import HEAD, lines_of
from benchmarks.grid import FOLDER, load_grid
from benchmarks.readme import PAGES, rendered

ROOT = Path(__file__).parent.parent
GRIDS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip() for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.splitlines()
]


def test_what_is_made_is_a_target_of_the_makefile() -> None:
    assert COMMANDS[:3] == ["make demo", "make test", "make web-demo"]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {"demo", "test", "web-demo"} <= set(targets)
    assert "make test" in (ROOT / ".ci/run").read_text()


def shortened(command: str) -> list[str]:
    """The same command with few steps on a small grid, a narrow net for the baseline, this machine as the device."""
    words = ["local" if word.startswith("ssh:") else word for word in shlex.split(command)]
    if words[0] == "acwskd-edge":
        return [sys.executable, "-m", "acwskd_edge.cli", *words[1:]]
    assert words[0] == "python"
    if "train" in words:
        words[words.index("--steps") + 1] = "12"
        words += ["--set", "size=32", "--set", "batch=2", "--set", "threads=1"]
        words += ["--set", "model=unet8"] if "unet" in words else []
    if "convert" in words:
        words += ["--max-dice-drop", "1"]
    if "benchmarks" in words:
        words += ["--runs", "10", "--seconds", "1", "--without", "torch-compile"]
    return [sys.executable, *words[1:]]


@pytest.mark.slow
def test_every_other_command_runs_as_written(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4, 5, 10):
        write_flare(tmp_path / "data/FLARE22", f"FLARE22_Tr_{number:04d}", number)
    for command in (one for one in COMMANDS if not one.startswith("make ")):
        done = subprocess.run(
            shortened(command),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert nibabel.load(tmp_path / "mask.nii.gz").shape == (20, 16, 6)
    assert (tmp_path / "runs/student/report/index.html").is_file()


def test_every_linked_file_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_example_in_help_names_flags_that_exist() -> None:
    for folder in ("train", "convert", "benchmarks"):
        source = (ROOT / folder / "__main__.py").read_text()
        examples = source.split('EXAMPLES = """')[1].split('"""')[0]
        flags = set(re.findall(r'"(--[a-z-]+)"', source))
        assert set(re.findall(r"(--[a-z-]+)", examples)) <= flags


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_results_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert rendered(text, page.parent) == text, "stale; next: python -m benchmarks.readme --write"
    stale = text.replace(" reference\n", " reference!\n", 1)
    assert stale != text
    assert rendered(stale, page.parent) == text


def table_of(path: Path) -> str:
    """What the command that owns a results file prints of it."""
    rows = read_csv(path)
    per_case = path.with_name(f"{path.stem}-cases.csv")
    if per_case.exists():
        grid = max((one for one in GRIDS if path.name.startswith(one)), key=len)  # acdc-long-size96.csv: acdc-long
        return compare(load_grid(grid), rows, read_csv(per_case)).markdown()
    return markdown(HEAD, lines_of(rows)) if "verdict" in rows[0] else summary(rows)


def test_every_table_of_the_docs_is_what_its_file_says() -> None:
    pages = ("results.md", "method.md", "gate.md")
    text = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in pages)
    files = re.findall(r"\[results file\]\(\.\./(benchmarks/results/[^)]+\.csv)\)", text)
    assert files
    for name in files:
        assert table_of(ROOT / name).rstrip() in text
