"""RUN -> bundle: emit each artefact, execute it, let the gate judge it, seal what passed; then kits and engines."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from acwskd_edge.errors import GateError, UsageError
from acwskd_edge.files import new_folder, only_writer
from convert.basis import Basis, Settings, check_run
from convert.engines import Engines
from convert.ladder import AUTO
from convert.targets import find_target
from convert.workshop import Workshop
from train.state import WEIGHTS

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
COREML_WRITER = "MIL FileWriter"  # in what coremltools raises when it cannot write; it has no type of its own
SPARE = 32 << 20  # bytes to be free besides what the artefacts take


def convert(run: Path, settings: Settings) -> Path:
    """Convert a finished run; returns the bundle's folder.

    Raises:
        UsageError: not a finished run, an unknown target, an illegal precision, a missing tool.
        GateError: at least one artefact was refused; the others are in the bundle.
        RefusedError: int8 was asked for and cannot be calibrated: too few slices, or scans that are also held out.
    """
    plan = [(find_target(name), p, io) for name in settings.targets for p in settings.precisions for io in settings.ios]
    for target, precision, _ in plan:
        target.preflight("int8" if precision == AUTO else precision)
    check_run(run)
    with only_writer(run):
        torch.set_num_threads(os.cpu_count() or 1)
        basis = Basis(run, settings)
        check_space(run, len(plan))
        with writing(run), new_folder(run / "bundle") as folder:
            refused = Workshop(basis).fill(folder, plan)
        engines = Engines(basis)
        with writing(run):
            refused += engines.add(plan)
    print(f"{run / 'bundle'} is sealed; next: {shlex.join(['acwskd-edge', 'verify', str(run / 'bundle')])}")
    if engines.trouble:
        raise engines.trouble
    if refused:
        advice = ", ".join(dict.fromkeys(one.advice for one in refused))
        raise GateError(
            f"{len(refused)} artefact(s) refused: " + "; ".join(f"{one.id} ({one.why})" for one in refused),
            hint=f"{advice}, or --max-dice-drop above {settings.max_dice_drop}; see {run / 'rejected'}",
        )
    return run / "bundle"


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """What any tool meets when a folder cannot be written, as one line.

    Raises:
        UsageError: the disk is full, a quota or size limit is reached, or the folder is read-only.
    """
    hint = f"free space there and in {tempfile.gettempdir()}; the bundle in {run} is as it was"
    try:
        yield
    except shutil.Error as error:  # of copying a tree: (from, to, why) of each file
        why = str(error.args[0][0][2]).partition(":")[0]
        raise UsageError(f"cannot write into {run} ({why})", hint=hint) from error
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UsageError(f"cannot write {error.filename or run} ({error.strerror})", hint=hint) from error
    except RuntimeError as error:
        if COREML_WRITER not in str(error):
            raise
        raise UsageError(f"cannot write a Core ML package ({error})", hint=hint) from error


def check_space(run: Path, artefacts: int) -> None:
    """Refuse to start on a disk that is nearly full, where litert's compiler would end the process without a word.

    Raises:
        UsageError: too little room for the new bundle, or for the tools' temporary files.
    """
    weights = (run / WEIGHTS).stat().st_size
    before = sum(one.stat().st_size for one in (run / "bundle").rglob("*") if one.is_file())
    for folder, needed in ((run, artefacts * weights + before), (Path(tempfile.gettempdir()), 6 * weights)):
        free = shutil.disk_usage(folder).free
        if free < needed + SPARE:
            raise UsageError(
                f"{folder} has {free / 1e6:.0f} MB free", allowed=f"{(needed + SPARE) / 1e6:.0f} MB", hint="free space"
            )
