"""Post-processing: named steps that a model's card lists, applied to each answer in that order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anymask.core.candidates import Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.errors import WeightsError
from anymask.predict.constraints import (
    clip_to_box,
    enforce_clicks,
    extend_to_edges,
    keep_clicked_component,
)
from anymask.predict.diversify import merge_near_duplicates

Step = Callable[[Candidates, Prompt, ResizeLongest], Candidates]

POSTPROCESS: Mapping[str, Step] = {
    "extend_to_edges": extend_to_edges,
    "clip_to_box": clip_to_box,
    "keep_clicked_component": keep_clicked_component,
    "enforce_clicks": enforce_clicks,
    "merge_near_duplicates": merge_near_duplicates,
}


def steps_of(names: Any) -> tuple[Step, ...]:
    """The steps a card lists. Raises WeightsError for a name that is not known."""
    unknown = [name for name in names if name not in POSTPROCESS] if isinstance(names, list) else [names]
    if unknown:
        expected = ", ".join(POSTPROCESS)
        raise WeightsError(f"postprocess on the card: expected a list of {expected}, got {unknown[0]!r}")
    return tuple(POSTPROCESS[name] for name in names)


def postprocess(
    answer: Candidates, prompt: Prompt, frame: ResizeLongest, steps: Sequence[Step]
) -> Candidates:
    """`answer` to `prompt` about the image of `frame`, after every step."""
    for step in steps:
        answer = step(answer, prompt, frame)
    return answer
