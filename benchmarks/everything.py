"""Everything in a photo, by the published generator and by ours: what `bench.py everything` runs.

    python benchmarks/everything.py prepare FOLDER          random weights for both

    python benchmarks/everything.py published FOLDER PHOTO POINTS OUT.json

    python benchmarks/everything.py ours FOLDER PHOTO POINTS OUT.json BACKEND

A network without training finds nothing, so the decoder works in full and its answers are then replaced by
those of a synthetic scene, the same for both; the time of the replacement is not counted. The network has the
shape of MobileSAM.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from peers import install_stand_ins, read
from scenes_for_grids import Scene

NAME, STOOD_IN = "mobile_sam", ("torchvision", "timm")
SCENE = Scene(cells=(16, 90, 240), least_iou=0.8, sharpness=(0.3, 3.0, 10.0))


class Watch:
    """Seconds spent in something, by the clock and by all cores together."""

    seconds = processor = 0.0

    def timed(self, work: Callable[[], Any]) -> Any:
        started, busy = time.perf_counter(), time.process_time()
        result = work()
        self.seconds += time.perf_counter() - started
        self.processor += time.process_time() - busy
        return result


def prepare(folder: Path) -> None:
    """The same weights for both: a published file, and graphs."""
    import torch

    install_stand_ins()
    import mobile_sam

    for name in [n for n in sys.modules if n.partition(".")[0] in STOOD_IN]:
        del sys.modules[name]  # the exporter would ask them for what they have not
    from anymask.export.graphs import export_weights
    from anymask.hub.weights import convert_checkpoint

    torch.manual_seed(0)
    torch.save(mobile_sam.sam_model_registry["vit_t"]().state_dict(), folder / "published.pt")
    convert_checkpoint(folder / "published.pt", folder / "raw.safetensors", NAME)
    export_weights(folder / "raw.safetensors", folder)


def published(folder: Path, photo: str, points: int) -> dict[str, Any]:
    import torch

    install_stand_ins()
    import mobile_sam
    import segment_anything

    torch.set_num_threads(os.cpu_count() or 1)
    network = mobile_sam.sam_model_registry["vit_t"](str(folder / "published.pt")).eval()
    generator = segment_anything.SamAutomaticMaskGenerator(network, points_per_side=points)
    generator._process_crop.__globals__["batched_nms"] = torch_nms
    encode, replace = Watch(), Watch()
    _encoder_watched(generator.predictor, encode)
    _answers_replaced(generator.predictor, replace)
    pixels, total = read(photo), Watch()
    records = total.timed(lambda: generator.generate(pixels))
    return {
        "seconds": total.seconds - encode.seconds - replace.seconds,
        "processor_seconds": total.processor - encode.processor - replace.processor,
        "encode_seconds": encode.seconds,
        "masks": [_as_json(_mask(r), r["predicted_iou"], r["stability_score"]) for r in records],
    }


def _encoder_watched(predictor: Any, watch: Watch) -> None:
    set_image = predictor.set_image
    predictor.set_image = lambda *arguments: watch.timed(lambda: set_image(*arguments))


def _answers_replaced(predictor: Any, watch: Watch) -> None:
    """What the mask decoder of the published network returned, by what the scene says of the same points."""
    import torch

    ask, asked = predictor.predict_torch, []

    def predict_torch(points: Any, *rest: Any, **options: Any) -> Any:
        asked[:] = points[:, 0].numpy().astype(np.float32) + np.float32(0.5)
        return ask(points, *rest, **options)

    def replaced(*_: Any) -> Any:
        answers = watch.timed(lambda: [SCENE.answer(point) for point in asked])
        low_res, ious = (np.stack([answer[i][1:] for answer in answers]) for i in (0, 1))
        return torch.from_numpy(low_res), torch.from_numpy(ious)

    predictor.predict_torch = predict_torch
    predictor.model.mask_decoder.register_forward_hook(replaced)


def torch_nms(boxes: Any, scores: Any, _: Any, iou_threshold: float) -> Any:
    """For torchvision's `batched_nms` of one category."""
    import torch

    from anymask.core.boxes import box_nms

    return torch.from_numpy(box_nms(boxes.double().numpy(), scores.numpy(), iou_threshold))


class SceneBehind:
    """A backend whose answers are replaced by those of the scene, after they were worked out."""

    def __init__(self, backend: Any, encoding: Watch, replacing: Watch) -> None:
        self.backend, self.encoding, self.replacing = backend, encoding, replacing
        self.spec, self.batch_size = backend.spec, backend.batch_size

    def encode(self, pixels_13hw: Any) -> Any:
        return self.encoding.timed(lambda: self.backend.encode(pixels_13hw))

    def decode(self, embedding: Mapping[str, Any], prompts: Any) -> Any:
        from anymask.backends.base import DecodedArrays

        self.backend.decode(embedding, prompts)
        points = prompts.points_PN2[:, 0] - np.float32(self.spec.pixel_offset)
        answers = self.replacing.timed(lambda: [SCENE.answer(point) for point in points])
        low_res, ious = (np.stack([answer[i] for answer in answers]) for i in (0, 1))
        return DecodedArrays(low_res, ious, None)


def ours(folder: Path, photo: str, points: int, backend: str) -> dict[str, Any]:
    from anymask.api import Model
    from anymask.automatic.generator import everything
    from anymask.backends.registry import open_backend

    encode, replace, total = Watch(), Watch(), Watch()
    model = Model(SceneBehind(open_backend(backend, folder / f"{NAME}.json"), encode, replace))
    pixels = read(photo)
    found = total.timed(lambda: everything(model, pixels, "sam_default", points_per_side=points))
    return {
        "seconds": total.seconds - encode.seconds - replace.seconds,
        "processor_seconds": total.processor - encode.processor - replace.processor,
        "encode_seconds": encode.seconds,
        "masks": [
            {**m.mask.rle, "iou": m.predicted_iou, "stability": m.stability_score} for m in found.masks
        ],
    }


def _mask(record: Any) -> Any:
    from anymask.core.mask import Mask

    return Mask.from_array(record["segmentation"])


def _as_json(mask: Any, iou: float, stability: float) -> dict[str, Any]:
    return {**mask.rle, "iou": iou, "stability": stability}


def main(verb: str, folder: str, *more: str) -> None:
    if verb == "prepare":
        return prepare(Path(folder))
    photo, points, out, *backend = more
    work = {"published": published, "ours": ours}[verb]
    Path(out).write_text(json.dumps(work(Path(folder), photo, int(points), *backend)))
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
