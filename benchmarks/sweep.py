"""`python -m benchmarks.sweep GRID.yaml`: train a grid of methods and seeds, score it, print its table.

Run again, it continues: finished runs are recognised, killed ones resume, failed ones are tried again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from acwskd_edge.commandline import Parser
from acwskd_edge.errors import UsageError, exit_with

if TYPE_CHECKING:
    from benchmarks.collect import Row
    from benchmarks.grid import Grid, Run

EXAMPLES = """
python -m benchmarks.sweep phantom --dry-run
python -m benchmarks.sweep phantom --jobs 2
python -m benchmarks.sweep acdc --data acdc:data/acdc --only plain,kd
python -m benchmarks.sweep phantom --table
python -m benchmarks.sweep phantom --score test
"""
LOG = "train.log"  # in a run folder: what `python -m train` printed
RESULTS = Path(__file__).parent / "results"
POLL = 0.2  # seconds between looks at the running trainings


def main() -> int:
    """Parse, then train, score or only print."""
    parser = Parser("python -m benchmarks.sweep", __doc__ or "", EXAMPLES)
    parser.add_argument("grid", metavar="GRID", help="a shipped grid's name or a YAML file, see benchmarks/sweeps/")
    parser.add_argument("--data", help="kind:path, instead of the grid's")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="of the run folders (runs/sweeps/GRID)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once (1)")
    parser.add_argument("--results", type=Path, metavar="FILE.csv", help="(benchmarks/results/GRID.csv)")
    parser.add_argument("--only", metavar="METHOD,...", help="these methods and the teachers they need")
    parser.add_argument("--dry-run", action="store_true", help="print the commands in their order and stop")
    parser.add_argument("--table", action="store_true", help="print the tables of the results files and stop")
    parser.add_argument("--score", choices=["test"], help="the final step: the finished runs on the test split")
    args = parser.parse_args()
    if args.jobs < 1:
        raise UsageError(f"--jobs {args.jobs}", allowed="1 or more")

    from benchmarks.grid import load_grid

    grid = load_grid(args.grid)
    if args.data:
        grid = replace(grid, common={**grid.common, "data": args.data})
    out = args.out or Path("runs") / "sweeps" / grid.name
    results = args.results or RESULTS / f"{grid.name}.csv"
    whole = grid.runs(out)
    runs = grid.only(args.only.split(",")).runs(out) if args.only else whole
    if args.dry_run:
        print("\n".join(one.typed for one in runs))
    elif args.table:
        print_tables(grid, whole, results)
    elif args.score:
        from acwskd_edge.files import only_writer
        from benchmarks.final import score_test

        with only_writer(out):
            score_test([one for one in whole if is_finished(one)], out)
        write_results(grid, whole, test_file(results), "test")
        print_tables(grid, whole, results)
    else:
        return sweep(grid, runs, whole, args.jobs, out, results)
    return 0


def sweep(grid: Grid, runs: Sequence[Run], whole: Sequence[Run], jobs: int, out: Path, results: Path) -> int:
    """Train what is not finished, at most `jobs` at once, and rewrite the results files after every run.

    Args:
        runs: what to train; whole: every run of the grid, of which the finished ones enter the results files.
    Returns:
        0, or 1 if a run failed; the others were trained all the same.
    """
    from acwskd_edge.files import only_writer

    with only_writer(out):
        failures = train_all(runs, jobs, lambda: write_results(grid, whole, results))
        write_results(grid, whole, results)
    if results.exists():
        print_tables(grid, whole, results)
    for run, why in failures.items():
        print(f"failed: {run}: {why}", file=sys.stderr)
    return 1 if failures else 0


def train_all(runs: Sequence[Run], jobs: int, on_finished: Callable[[], None]) -> dict[Run, str]:
    """Train what is not finished, in the given order but every teacher before its students.

    Args:
        on_finished: called after every training that ended well.
    Returns:
        the runs that failed, each with the reason in one line.
    """
    done = {run.folder for run in runs if is_finished(run)}
    waiting = [run for run in runs if run.folder not in done]
    print(f"{len(runs)} runs, {len(done)} of them finished; {jobs} at once", flush=True)
    failures: dict[Run, str] = {}
    pace = Pace()
    with children() as active:
        while waiting or active:
            lost = {run.folder for run in failures}
            for run in [one for one in waiting if one.teacher in lost]:
                waiting.remove(run)
                failures[run] = f"its teacher in {run.teacher} failed"
            for run in [one for one in waiting if one.teacher is None or one.teacher in done][: jobs - len(active)]:
                waiting.remove(run)
                active[start(run)] = (run, time.monotonic())
                print(f"{run} begins; log: {run.folder / LOG}", flush=True)
            time.sleep(POLL)
            for process, (run, begun) in [one for one in active.items() if one[0].poll() is not None]:
                del active[process]
                seconds = time.monotonic() - begun
                if process.returncode == 0:
                    done.add(run.folder)
                    pace.learn(run, seconds)
                    on_finished()
                    outcome = f"Dice {dice_of(run):.4f} in {duration(seconds)}"
                else:
                    log = run.folder / LOG
                    failures[run] = f"exit code {process.returncode}: {last_line(log)}; log: {log}"
                    outcome = f"FAILED, {failures[run]}"
                left = pace.seconds_left(waiting, active.values()) / jobs
                eta = f"; ETA {duration(left)}" if left else ""
                print(f"[{len(done) + len(failures)}/{len(runs)}] {run}: {outcome}{eta}", flush=True)
    return failures


class Pace:
    """Seconds a run takes: as the same method took, else by its cost and what the others took."""

    def __init__(self) -> None:
        self.by_method: dict[str, float] = {}
        self.seconds = self.cost = 0.0

    def learn(self, run: Run, seconds: float) -> None:
        """Take note of a finished run."""
        self.by_method[run.method] = seconds
        self.seconds += seconds
        self.cost += run.cost

    def of(self, run: Run) -> float:
        """Expected seconds."""
        return self.by_method.get(run.method, run.cost * self.seconds / self.cost if self.cost else 0.0)

    def seconds_left(self, waiting: Iterable[Run], active: Iterable[tuple[Run, float]]) -> float:
        """Expected seconds of training left; `active` are runs with the time they began."""
        now = time.monotonic()
        return sum(map(self.of, waiting)) + sum(max(0.0, self.of(run) - (now - begun)) for run, begun in active)


@contextmanager
def children() -> Iterator[dict[subprocess.Popen[bytes], tuple[Run, float]]]:
    """The running trainings; ended with us, also when we are told to end. They resume from their last checkpoint."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    active: dict[subprocess.Popen[bytes], tuple[Run, float]] = {}
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield active
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in active:
            process.terminate()
        for process in active:
            process.wait()


def start(run: Run) -> subprocess.Popen[bytes]:
    """Begin or continue a training; what it prints is appended to its log."""
    run.folder.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": str(run.recipe.threads)} if run.recipe.threads else {}
    with (run.folder / LOG).open("ab") as log:
        log.write(f"$ {run.typed}\n".encode())
        log.flush()
        return subprocess.Popen(run.command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | threads)


def is_finished(run: Run) -> bool:
    """Whether its folder holds this very run, finished; recipe fields that its code or ours lacks do not count."""
    import yaml

    if not (run.folder / "validation.json").exists():
        return False
    found, wanted = yaml.safe_load((run.folder / "recipe.yaml").read_text(encoding="utf-8")), run.recipe.to_dict()
    return all(found[name] == value for name, value in wanted.items() if name in found)


def dice_of(run: Run) -> float:
    """Mean validation Dice of a finished run."""
    scores = json.loads((run.folder / "validation.json").read_text(encoding="utf-8"))
    return float("nan") if scores["mean_dice"] is None else float(scores["mean_dice"])


def last_line(path: Path) -> str:
    """What a command said last."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].split("\r")[-1].strip()


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def test_file(results: Path) -> Path:
    """The results file of the test split beside that of the validation split."""
    return results.with_name(f"{results.stem}-test.csv")


def cases_file(results: Path) -> Path:
    """The scores case by case beside a results file."""
    return results.with_name(f"{results.stem}-cases.csv")


def write_results(grid: Grid, runs: Sequence[Run], results: Path, split: str = "val") -> None:
    """Write the finished runs as rows, and their scores case by case, in the grid's order.

    Rows of runs whose folders are not here, trained on another machine or day, stay as long as the grid has such a run.
    """
    from acwskd_edge.files import write_atomic
    from benchmarks.collect import SCORES, cases_of, read_csv, row_of, to_csv

    rank = {(run.method, run.seed): i for i, run in enumerate(sorted(runs, key=lambda run: method_rank(grid, run)))}
    known = [run for run in runs if is_finished(run) and (run.folder / SCORES[split]).exists()]
    here = {(run.method, run.seed) for run in known}
    elsewhere = {
        (run.method, run.seed)
        for run in runs
        for row in (read_csv(results) if results.exists() else [])
        if is_row_of(row, run) and (run.method, run.seed) not in here
    }

    def in_order(path: Path, rows: list[Row]) -> str:
        old = [row for row in (read_csv(path) if elsewhere else []) if key_of(row) in elsewhere]
        return to_csv(sorted([*rows, *old], key=lambda row: rank[key_of(row)]))

    if known:
        cases = [case for run in known for case in cases_of(run.folder, run.method, run.seed, split, grid.rule)]
        tables = {
            results: in_order(results, [row_of(run.folder, run.method, split, grid.rule) for run in known]),
            cases_file(results): in_order(cases_file(results), cases),
        }
        for path, text in tables.items():
            write_atomic(path, text)


def method_rank(grid: Grid, run: Run) -> tuple[int, int]:
    """Where a run stands in the results files."""
    return [method.name for method in grid.methods].index(run.method), run.seed


def key_of(row: Row) -> tuple[str, int]:
    """Which run a row is of."""
    return str(row["method"]), int(row["seed"])


def is_row_of(row: Row, run: Run) -> bool:
    """Whether a results file's row is of this very run: its method, seed and schedule."""
    recipe = run.recipe.to_dict()
    shared = ("model", "steps", "size", "batch", "optimizer", "lr", "precision", "threads")
    found = {"optimizer": "adamw"} | {name: value for name, value in row.items() if value != ""}
    return key_of(row) == (run.method, run.seed) and all(found[name] == str(recipe[name]) for name in shared)


def print_tables(grid: Grid, runs: Sequence[Run], results: Path) -> None:
    """Print the table of every split that was scored, and write it as Markdown and HTML beside its results file.

    Every seed's Dice is drawn beside it; the learning curves, too, if the runs are at hand.
    """
    from acwskd_edge.files import write_atomic
    from benchmarks.collect import read_csv
    from benchmarks.comparison import compare
    from benchmarks.curves import draw_dots, write_curves

    written = []
    for path in (results, test_file(results)):
        if path == results or path.exists():
            rows = read_csv(path)
            table = compare(grid, rows, read_csv(cases_file(path)))
            dots = path.with_name(f"{path.stem}-dots.png")
            write_atomic(path.with_suffix(".md"), table.markdown())
            write_atomic(path.with_suffix(".html"), table.html())
            write_atomic(dots, draw_dots(rows, grid.title or grid.name, grid.plain or grid.reference))
            print(table.markdown())
            written += [path.with_suffix(".html"), dots]
    picture = results.with_name(f"{results.stem}-curves.png")
    finished = [run for run in runs if is_finished(run)]
    written += [picture] if write_curves(finished, grid.title or grid.name, picture) else []
    print("\n".join(map(str, written)))


if __name__ == "__main__":
    sys.exit(exit_with(main))
