"""`anymask segment`: photos and prompts in; overlay, masks and a record out, for every photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import BackendName, ModelName, Refine
from anymask.cli.reporting import Failures, say, say_json
from anymask.cli.stdin import is_stdin

# \b keeps the lines as they are.
EXAMPLES = """\b
anymask segment photo.jpg --point 480,300
anymask segment photo.jpg --box 20,40,300,260 --point 90,80,- --out masks
anymask segment *.jpg --point 480,300 --candidates
anymask segment photo.jpg --text "two red cars on the left"
"""
DEFAULT_FOLDER = Path("anymask-out")


PhotoPaths = Annotated[
    list[Path], typer.Argument(metavar="IMAGE", help="The photos; - is one on standard input.")
]
PointTexts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X,Y[,+|-]",
        help="A point inside what is meant (+, the default) or outside of it (-). All points are one prompt, "
        "together with the box if there is one.",
    ),
]
BoxTexts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X0,Y0,X1,Y1",
        help="A box around what is meant. Several boxes are several prompts with a mask each; "
        "they go without points.",
    ),
]
MaskFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A rough mask to start from: an image like the photo, bright inside."),
]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        "--text",
        metavar="PHRASE",
        help="What is meant, in English or Korean: every instance of it gets a mask, with --box only those "
        'in the box; "not a car" leaves out what others found. With a point: which thing there is meant.',
    ),
]
AllCandidates = Annotated[
    bool, typer.Option("--candidates", help="All candidates of a prompt, side by side, not only the best.")
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Folder for NAME.overlay.png, NAME.mask.png (numbered if several) and NAME.json; files of an "
        "earlier run are replaced. Default: ./anymask-out; with --json: no files.",
    ),
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print the record of each photo as one line of JSON, and nothing else.")
]


def segment(
    images: PhotoPaths,
    point: PointTexts = None,
    box: BoxTexts = None,
    mask: MaskFile = None,
    text: Texts = None,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    refine: Refine = None,
    candidates: AllCandidates = False,
    out: OutFolder = None,
    json: JsonLines = False,
) -> None:
    """Segment photos from points, boxes, masks or words.

    Coordinates are pixels of the photo as it is shown, after its EXIF rotation: x to the right, y down, the
    centre of the first pixel is 0.5,0.5. The best mask of every prompt is written; one point alone is
    ambiguous and has up to three candidates (see --candidates). A photo that fails is reported, the others
    are done; the exit code is then 1, or 2 when the call itself was wrong.
    """
    from anymask.api import load
    from anymask.cli.parsing import make_prompts, only_box
    from anymask.cli.photo import PhotoSegmenter
    from anymask.cli.photo_words import PhotoFinder

    folder = out or (None if json else DEFAULT_FOLDER)
    inputs = [*images, *([mask] if mask else [])]
    segmenter: PhotoSegmenter | PhotoFinder
    if text and not (point or mask):
        segmenter = PhotoFinder(text, box=only_box(box or ()), inputs=inputs, folder=folder)
    else:
        prompts = make_prompts(point or (), box or (), mask, text or ())
        segmenter = PhotoSegmenter(prompts, inputs=inputs, folder=folder, all_candidates=candidates)
    failures = Failures()
    opened = load(model, backend=backend)
    for path, name in zip(images, output_names(images), strict=True):
        with failures.collect(path):
            summary, record = segmenter.segment(opened, path, name, refine)
            say_json(record) if json else say(summary)
    failures.leave_if_any()


def output_names(paths: Sequence[Path]) -> list[str]:
    """The stem of each photo, if long cut; of photos with the same stem, all but the first get a number."""
    from anymask.files import short_file_name

    names: list[str] = []
    for path in paths:
        stem, number = "stdin" if is_stdin(path) else short_file_name(path.stem) or "photo", 1
        name = stem
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names
