from __future__ import annotations

from pathlib import Path

import coremltools
from target_contract import TargetContract

from convert.targets import coreml


class TestCoreml(TargetContract):
    target = "coreml"

    def read_contract(self, path: Path) -> str:
        package = coremltools.models.MLModel(str(path), skip_model_load=True)
        return package.user_defined_metadata[coreml.CONTRACT_KEY]
