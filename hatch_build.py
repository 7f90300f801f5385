"""Builds the page of the studio into wheels and sdists, where it is not built yet and npm is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src", "anymask", "web", "static", "index.html")


class StudioPage(BuildHookInterface):  # type: ignore[misc]  # hatchling is not installed where types are checked
    """An editable install goes without: `make studio` builds the page there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable" or (root / PAGE).is_file():
            return
        source, npm = root / "studio", shutil.which("npm")
        if npm is None or not (source / "package.json").is_file():
            self.app.display_warning(
                f"The page of the studio is not in this build: {PAGE} is absent, and so is npm. "
                "`anymask studio` will say so. Install Node 20.19 or newer and build again."
            )
            return
        for step in (("ci", "--no-audit", "--no-fund"), ("run", "build")):
            subprocess.run([npm, *step], cwd=source, check=True)
        if not (root / PAGE).is_file():
            raise RuntimeError(f"npm run build left no {PAGE}")
