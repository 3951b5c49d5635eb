"""One composed job of a sweep. Workers read it, so this module imports neither Hydra nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasched.compose.yaml_dump import CachedYaml, strings


@dataclass(slots=True)
class Job:
    """One job, composed. Plain containers, shared with its neighbours where they are equal: read them, never write."""

    num: int
    overrides: list[str]  # the user's, without those of Hydra's own settings
    config: dict[str, Any]  # resolved
    hydra: dict[str, Any]  # Hydra's node, unresolved
    subdir: str
    config_yaml: str  # unresolved, as .hydra/config.yaml holds it
    _sections: CachedYaml

    def write(self, folder: Path) -> None:
        """Write ``.hydra/`` into the job's folder, as Hydra does."""
        hydra = folder / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        hydra.mkdir(exist_ok=True)
        for name, text in (
            ("config", self.config_yaml),
            ("overrides", strings(self.overrides)),
            ("hydra", self.hydra_yaml(folder)),
        ):
            (hydra / f"{name}.yaml").write_text(text, encoding="utf-8")

    def hydra_yaml(self, output_dir: Path) -> str:
        """Return the text of ``.hydra/hydra.yaml`` of a job that writes to ``output_dir``."""
        runtime = {**self.hydra["runtime"], "output_dir": str(output_dir.absolute())}
        return "hydra:\n" + self._sections.dump({**self.hydra, "runtime": runtime}, "  ")
