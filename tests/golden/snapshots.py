"""The public names with their signatures, and the facts on the default model's card that decide its answers.

`python tests/golden/snapshots.py` writes both again.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import anymask
from anymask.hub.card import read_card
from anymask.hub.catalog import find_model

HERE = Path(__file__).resolve().parent
API, CARD = HERE / "public_api.txt", HERE / "card.json"
TOLD_ELSEWHERE = ("training", "results", "data", "recipe", "proof", "boxes_training", "edges_training")


def public_api() -> list[str]:
    """One line for each public name and each public member of a class."""
    lines: list[str] = []
    for name in anymask.__all__:
        value = getattr(anymask, name)
        lines.append(f"{name}{signature(value)}")
        if inspect.isclass(value) and not issubclass(value, Exception):
            members = (member for member in sorted(dir(value)) if not member.startswith("_"))
            lines += [f"{name}.{member}{signature(getattr(value, member))}" for member in members]
    return lines


def signature(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, Exception):
        return ""
    try:
        return str(inspect.signature(value)) if callable(value) else ""
    except ValueError:
        return ""


def card_snapshot() -> dict[str, Any]:
    facts = read_card(find_model("lite")).facts
    return {key: value for key, value in facts.items() if key not in TOLD_ELSEWHERE}


if __name__ == "__main__":
    API.write_text("\n".join(public_api()) + "\n")
    CARD.write_text(json.dumps(card_snapshot(), indent=1, sort_keys=True) + "\n")
