"""Import this, and `import segment_anything` gives `anymask.compat`, submodules included.

For code that cannot be changed. It must come before anything that imports `segment_anything`:

    import anymask.compat.install
    import someones_package
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

import anymask.compat as compat

PUBLISHED = "segment_anything"


def put_in_place(name: str = PUBLISHED) -> None:
    """`name` and its submodules become those of `anymask.compat`. Raises ImportError where another package of
    that name is imported already: what has taken names from it would keep them.
    """
    there = sys.modules.get(name)
    if there is not None and there is not compat:
        raise ImportError(
            f"{name} is imported already, from {getattr(there, '__file__', 'somewhere')}: "
            "import anymask.compat.install before anything that imports it"
        )
    for suffix, module in modules():
        sys.modules[name + suffix] = module


def modules() -> list[tuple[str, ModuleType]]:
    """`anymask.compat` and its submodules but this one, by what follows `anymask.compat` in their names."""
    walked = pkgutil.walk_packages(compat.__path__, f"{compat.__name__}.")
    names = [compat.__name__, *(found.name for found in walked if found.name != __name__)]
    return [(name.removeprefix(compat.__name__), importlib.import_module(name)) for name in names]


put_in_place()
