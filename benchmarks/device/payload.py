"""What travels to a device: four files of fixed names, so that nothing a user named meets a shell there."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import acwskd_edge
from acwskd_edge.bench.measure import Settings
from acwskd_edge.bundle import MANIFEST, Bundle
from acwskd_edge.files import sha256

STAGE = "bench"
RESULT = "result.json"
FIXED = (1980, 1, 1, 0, 0, 0)  # a date in every archive, so that equal contents are equal bytes


@dataclass(frozen=True)
class Payload:
    """Packed files, and the name of their folder on the device."""

    key: str  # letters and digits
    files: dict[str, Path]  # name there -> file here


def pack(bundle: Bundle, settings: Settings, folder: Path) -> Payload:
    """Pack the library, an opened bundle and what is to be measured into `folder`."""
    library = Path(acwskd_edge.__file__).parent
    archive(folder / "acwskd_edge.zip", library.parent, library.rglob("*.py"))
    archive(folder / "bundle.zip", bundle.root, bundle.root.rglob("*"))
    shutil.copyfile(Path(__file__).with_name("on_device.py"), folder / f"{STAGE}.py")
    (folder / "job.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
    names = ("acwskd_edge.zip", "bundle.zip", f"{STAGE}.py", "job.json")
    return Payload(f"bench{sha256(bundle.root / MANIFEST)[:32]}", {name: folder / name for name in names})


def archive(path: Path, root: Path, files: Iterable[Path]) -> None:
    """A zip of files, by their names below `root`; equal files give equal bytes."""
    with zipfile.ZipFile(path, "w") as content:
        for one in sorted(files):
            if one.is_file():
                info = zipfile.ZipInfo(one.relative_to(root).as_posix(), FIXED)
                info.compress_type = zipfile.ZIP_DEFLATED
                content.writestr(info, one.read_bytes())
