"""Times the published code of segment-anything and MobileSAM: the peers of `bench.py`. Random weights.

    python benchmarks/peers.py time "segment-anything vit_b" PHOTO X Y REPEATS    one JSON object python
    benchmarks/peers.py cold mobile_sam PHOTO X Y MASK.png                 process start to mask written

Both packages import torchvision and timm for a few small things. Where those are not installed, stand-ins
with the same results take their place (`install_stand_ins`); nothing that is timed runs through them but
the photo's resize.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from types import ModuleType
from typing import Any


def install_stand_ins() -> None:
    """Let `segment_anything` and `mobile_sam` import without torchvision and timm."""
    if importlib.util.find_spec("torchvision") is None:
        _stand_in("torchvision.frames.functional", resize=_resize, to_pil_image=_to_pil_image)
        _stand_in("torchvision.ops.boxes", batched_nms=_not_here, box_area=_not_here)
    if importlib.util.find_spec("timm") is None:
        _stand_in("timm.models.layers", **_layers())
        _stand_in("timm.models.registry", register_model=lambda function: function)


def _stand_in(name: str, **contents: Any) -> None:
    """A module with the given contents, and empty parents."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = ".".join(parts[:depth])
        module = sys.modules.setdefault(path, ModuleType(path))
        if depth > 1:
            setattr(sys.modules[".".join(parts[: depth - 1])], parts[depth - 1], module)
    for key, value in contents.items():
        setattr(sys.modules[name], key, value)


def _resize(image: Any, size: Any) -> Any:
    """A Pillow image to size (h, w), bilinear, as torchvision does it for Pillow images."""
    from PIL import Image

    height, width = size
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _to_pil_image(pixels: Any) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _not_here(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("the automatic mask generator needs torchvision")


def _layers() -> dict[str, Any]:
    import torch

    class DropPath(torch.nn.Module):
        """Does nothing, as the real one when it is not training."""

        def __init__(self, drop_prob: float = 0.0) -> None:
            super().__init__()
            self.drop_prob = drop_prob

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    def to_2tuple(value: Any) -> tuple[Any, Any]:
        return tuple(value) if isinstance(value, (tuple, list)) else (value, value)

    return {"DropPath": DropPath, "to_2tuple": to_2tuple, "trunc_normal_": torch.nn.init.trunc_normal_}


def make_predictor(peer: str) -> Any:
    """The published predictor around a network with random weights."""
    install_stand_ins()
    if peer == "mobile_sam":
        import mobile_sam as package

        network = package.sam_model_registry["vit_t"]()
    else:
        import segment_anything as package

        network = package.sam_model_registry["vit_b"]()
    return package.SamPredictor(network.eval())


def read(photo: str) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(photo).convert("RGB"))


def click(predictor: Any, x: float, y: float) -> Any:
    """Three masks of the photo's size."""
    import numpy as np

    return predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=True)[0]


def decode(predictor: Any, x: float, y: float) -> Any:
    """The prompt encoder and the mask decoder alone: three low-resolution masks."""
    import torch

    coords = torch.tensor(predictor.transform.apply_coords(_one(x, y), predictor.original_size))[None].float()
    with torch.no_grad():
        sparse, dense = predictor.model.prompt_encoder((coords, torch.ones(1, 1)), None, None)
        return predictor.model.mask_decoder(
            image_embeddings=predictor.features,
            image_pe=predictor.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )


def _one(x: float, y: float) -> Any:
    import numpy as np

    return np.array([[x, y]])


def time_peer(peer: str, photo: str, x: float, y: float, repeats: int) -> dict[str, Any]:
    from timing import repeat, summary

    predictor, pixels = make_predictor(peer), read(photo)
    encode_times = repeat(lambda: predictor.set_image(pixels), repeats)
    return {
        "encode_ms": summary(encode_times),
        "decode_ms": summary(repeat(lambda: decode(predictor, x, y), repeats)),
        "click_ms": summary(repeat(lambda: click(predictor, x, y), repeats)),
    }


def cold(peer: str, photo: str, x: float, y: float, out: str) -> None:
    from PIL import Image

    predictor = make_predictor(peer)
    predictor.set_image(read(photo))
    Image.fromarray(click(predictor, x, y)[0]).save(out)


def main(verb: str, peer: str, photo: str, x: str, y: str, last: str) -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("ANYMASK_THREADS", "0")) or os.cpu_count() or 1)
    if verb == "time":
        print(json.dumps(time_peer(peer, photo, float(x), float(y), int(last))))
    else:
        cold(peer, photo, float(x), float(y), last)


if __name__ == "__main__":
    main(*sys.argv[1:])
