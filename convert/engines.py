"""Kits for the graphs that passed, and engines where one can be built: here, or on the device that was named."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

from acwskd_edge.bundle import Artefact, open_bundle, seal
from acwskd_edge.errors import AcwskdError
from acwskd_edge.files import new_folder, write_json
from convert import kits
from convert.basis import Basis, Entry
from convert.kits import Kit
from convert.ladder import AUTO
from convert.remote import build_on
from convert.ssh import Dropped, Unreachable
from convert.targets import find_target
from convert.workshop import ARTEFACT, INDENT, Plan, Refused


class Engines:
    """Adds kits and engines to a sealed bundle."""

    def __init__(self, basis: Basis) -> None:
        self.basis = basis
        self.trouble: AcwskdError | None = None  # of a device, raised when all that can be done is done

    def add(self, plan: Plan) -> list[Refused]:
        """Kits for the graphs of the sealed bundle, and engines where one can be built; then it is sealed again.

        Returns:
            the planned whose engine failed or was refused.
        """
        bundle = open_bundle(self.basis.run / "bundle")
        graphs = [one for one in bundle.report["artefacts"] if find_target(one["target"]).kit]
        asked = {(target.name, precision, io) for target, precision, io in plan}
        told: list[Entry] = []
        made: list[tuple[Kit, Entry]] = []
        refused: list[Refused] = []
        for entry in graphs:
            target, io = entry["target"], entry["io"]
            place = self.basis.run / target / f"{entry['precision']}-{io}"
            if entry["verdict"] != "passed":
                kits.remove(place)
                continue
            wanted = bool({(target, entry["precision"], io), (target, AUTO, io)} & asked)
            kit = self.kit(place, bundle.root / entry["path"], entry, wanted)
            stop = self.build(kit) if wanted else None
            facts = kits.report_of(kit, self.basis.run, stop, self.evidence(kit))
            if wanted:
                print(f"{facts['id']:<18} {textwrap.indent(kits.lines_of(facts), INDENT).lstrip()}", flush=True)
                if why := kits.fault(facts, stop):
                    refused.append(Refused(f"{facts['id']} engine", why, "another --precision"))
            self.set_aside(kit, entry, facts["state"] == "rejected")
            told.append(facts)
            made.append((kit, entry))
        if not graphs:
            return []
        with new_folder(bundle.root) as folder:
            shutil.copytree(bundle.root, folder, dirs_exist_ok=True)
            engines = [one for one in (kits.engine_entry(kit, entry, folder) for kit, entry in made) if one]
            write_json(folder / "report.json", {**bundle.report, "kits": told, "engines": engines})
            seal(folder, [*bundle.artefacts, *(Artefact(**{k: one[k] for k in ARTEFACT}) for one in engines)])
        return refused

    def kit(self, place: Path, graph: Path, entry: Entry, wanted: bool) -> Kit:
        """The kit of a graph that passed; one that is current, or was not asked for now, stays as it is."""
        flags, rtx = self.basis.settings.flags, kits.ARCHITECTURES if entry["target"] == "rtx" else ()
        old, drop = kits.read(place), self.basis.settings.max_dice_drop
        if old and not wanted:
            flags = kits.Flags(**old.facts["flags"])
        if old and kits.is_current(old, graph, drop, self.basis.cases, flags, rtx):
            return old
        return kits.write(
            place, graph, entry, self.basis.contract, self.basis.reference, self.basis.golden, drop, flags, rtx
        )

    def build(self, kit: Kit) -> kits.Stop | None:
        """Build, verify and time on the device that was named, else on this machine."""
        if self.basis.settings.on and kit.facts["target"] == "jetson":
            if not isinstance(self.trouble, Unreachable | Dropped):
                try:
                    build_on(self.basis.settings.on, kit.folder, kit.results)
                    return None
                except AcwskdError as error:
                    self.trouble = self.trouble or error
            return kits.Stop("device", 1, str(self.trouble))
        return kits.build_here(kit, show=lambda line: print(f"  {line}", flush=True))

    def set_aside(self, kit: Kit, entry: Entry, refused: bool) -> None:
        """A refused engine lies in RUN/rejected, as long as it is refused."""
        outside = self.basis.run / "rejected" / f"{kits.TRT}-{Path(entry['path']).with_suffix('.engine').name}.rejected"
        outside.unlink(missing_ok=True)
        if refused:
            outside.parent.mkdir(exist_ok=True)
            shutil.copyfile(kit.results / kits.result(kit, "build")["engine"], outside)

    def evidence(self, kit: Kit) -> dict[str, Any]:
        """What TensorRT-RTX says of a kit's graph; asked again only for another build."""
        if kit.facts["rtx"] and (built := kits.result(kit, "build")):
            return kits.evidence_of(built)
        for old in self.basis.before("kits"):
            if old["key"] == kit.facts["key"] and "engines" in old["tensorrt_rtx"]:
                return dict(old["tensorrt_rtx"])
        return kits.parsed_by_rtx(kit)
