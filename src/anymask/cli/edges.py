"""`anymask edges`: where one thing ends and another begins, as a grey picture for every photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import BackendName, EdgeRefine, ModelName
from anymask.cli.reporting import Failures, say
from anymask.cli.segment import DEFAULT_FOLDER, PhotoPaths, output_names
from anymask.cli.stdin import photo_source

EdgeFolder = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder for NAME.edges.png; files of an earlier run are replaced."
    ),
]


def edges(
    images: PhotoPaths,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    refine: EdgeRefine = None,
    out: EdgeFolder = DEFAULT_FOLDER,
) -> None:
    """Detect edges: a grey picture of each photo.

    The brighter a pixel, the likelier a person would draw an edge there.

    A photo that fails is reported, the others are done; the exit code is then 1.
    """
    import numpy as np
    from PIL import Image

    from anymask.api import load
    from anymask.cli.photo import png
    from anymask.files import check_not_an_input, make_folder, write_atomically

    opened = load(model, backend=backend)
    _ = opened.edge_detector  # a model that has none is told before any photo is read
    folder, failures = make_folder(out), Failures()
    for path, name in zip(images, output_names(images), strict=True):
        with failures.collect(path):
            strength_HW = opened.encode(photo_source(path), refine=refine).detect_edges()
            drawn = folder / f"{name}.edges.png"
            check_not_an_input(drawn, images)
            write_atomically(drawn, png(Image.fromarray((strength_HW * 255).round().astype(np.uint8))))
            say(f"{path}  {strength_HW.shape[1]} x {strength_HW.shape[0]}\n  -> {drawn}")
    failures.leave_if_any()
