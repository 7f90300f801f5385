"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ModelName = Annotated[
    str,
    typer.Option(metavar="NAME", help="A name from `anymask models list`, or a weights file or its card."),
]
BackendName = Annotated[
    str,
    typer.Option(
        metavar="auto|onnx|openvino|torch",
        help="What runs the network; auto takes ANYMASK_BACKEND if it is set, or else ONNX Runtime.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

Refine = Annotated[
    bool | None,
    typer.Option(
        "--refine/--no-refine",
        help="Refine each mask in a second pass, in a window around it: better outlines and small things for "
        "another run of the encoder. Default: as the model's card says; lite refines.",
    ),
]

EdgeRefine = Annotated[
    bool | None,
    typer.Option(
        "--refine/--no-refine",
        help="Average with the edges of the mirrored photo. Default: as the model's card says; lite does.",
    ),
]
