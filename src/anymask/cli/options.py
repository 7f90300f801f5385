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

Zoom = Annotated[
    bool | None,
    typer.Option(
        "--zoom/--no-zoom",
        help="Look twice: at the whole photo, then closer at what was found. Better edges and small "
        "things for another run of the encoder. Default: as the model's card says; lite does.",
    ),
]

EdgeZoom = Annotated[
    bool | None,
    typer.Option(
        "--zoom/--no-zoom",
        help="Look at the mirrored photo too. Default: as the model's card says; lite does.",
    ),
]
