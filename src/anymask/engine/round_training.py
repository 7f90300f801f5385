"""The training of a round: from the model of now and the annotated photos of a project to the next model.

Parts, each of which is done once and resumed after a kill -9 to the same bits: the network learns the masks
(and to answer as before on everyday photos), its weights are mixed with those before until nothing is
forgotten, the box head learns the boxes, and automatic masks are fitted again. Every random draw comes from
the seed and the number of the step.

    folder/plan.json, masks/, share.json, boxes/, model/lite.json, round.json
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from anymask.api import Model, load
from anymask.backends.torch import TorchBackend
from anymask.core.progress import Progress
from anymask.data.record import Record
from anymask.data.sources import RecordSource, open_records
from anymask.data.splits import in_validation
from anymask.engine.round_boxes import ROUND_BOXES
from anymask.engine.round_calibration import automatic_facts, fitted_temperature
from anymask.engine.round_evaluation import RoundProtocol, evaluate_round, place
from anymask.engine.round_model import blend, open_base, publish, weights_of
from anymask.engine.round_settings import DEFAULT, RoundSettings
from anymask.engine.round_task import REHEARSAL, ROUND_MASKS
from anymask.errors import BadInput, BadOption
from anymask.export.graphs import complete_card
from anymask.files import make_folder, write_atomically
from anymask.hub.card import ModelFiles
from anymask.networks.box_head import BoxHead, BoxNetwork
from anymask.networks.checkpoints import State
from anymask.networks.lite import Lite, freeze_early_layers
from anymask.predict.pipeline import steps_of
from anymask.training.checkpoint import averaged_weights
from anymask.training.loop import train

REHEARSAL_PHOTOS = Path(__file__).with_name("rehearsal")
REMEMBERED = RoundProtocol(photos=7, masks=8, automatic=0)  # asked of each rehearsal photo
FEWEST_FITTED = 4  # photos that automatic masks are fitted on; where fewer are held out, trained ones besides
MASKS_PER_PHOTO = 6  # whose probabilities a temperature is fitted to
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184"
    ":glibc.malloc.top_pad=268435456",
}
"""For the process of a round: memory is kept between operators, which saves page faults."""


@dataclass(frozen=True, slots=True)
class RoundModel:
    """What a round made. `card`: of the model, for `anymask.load`. `share`: of the new weights in the mix;
    `forgotten`: IoU of first clicks lost on rehearsal photos. `trained`, `held_out`: keys of photos.
    """

    card: Path
    share: float
    forgotten: float
    trained: list[str]
    held_out: list[str]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "card": str(self.card)}


def train_round(
    records: RecordSource,
    base: str | Path,
    out: str | Path,
    settings: RoundSettings = DEFAULT,
    *,
    anchor: str | Path = "lite",
    rehearsal: RecordSource | None = None,
    progress: Progress | None = None,
) -> RoundModel:
    """One round, or the rest of one where `out` holds a part of it.

    `base`: the model of now. `anchor`: the model that must not be forgotten. `rehearsal`: everyday photos
    with its masks; those of the package unless given. `progress(done, total)` counts steps; what it raises
    ends the round, which can be resumed. Raises BadInput without a usable photo, BadOption for another model
    or when `out` is of another round, WeightsError, StorageError, Failure.
    """
    folder, done = make_folder(Path(out)), Path(out) / "round.json"
    if done.is_file():
        found = json.loads(done.read_text("utf-8"))
        return RoundModel(**{**found, "card": Path(found["card"])})
    with threads_of_torch(settings.threads):
        made = _Round(records, base, folder, settings, anchor, rehearsal, progress).run()
    write_json(done, made.to_dict())
    return made


class _Round:
    def __init__(
        self,
        records: RecordSource,
        base: str | Path,
        folder: Path,
        settings: RoundSettings,
        anchor: str | Path,
        rehearsal: RecordSource | None,
        progress: Progress | None,
    ) -> None:
        self.base, self.anchor = open_base(base), open_base(anchor)
        self.folder, self.settings, self._progress = folder, settings, progress
        self.rehearsal = open_records(REHEARSAL_PHOTOS) if rehearsal is None else rehearsal
        self.trained, self.held_out = split(records, settings.hold_out)
        self._check_plan()
        self.bf16 = has_bfloat16() if settings.bf16 is None else settings.bf16

    def run(self) -> RoundModel:
        network, share, forgotten = self.mixed(self.trained_masks())
        head = self.trained_boxes(network)
        card = publish(
            self.base, network.state_dict(), head, self.facts(share, forgotten), self.folder / "model"
        )
        self.calibrate(card)
        return RoundModel(card, share, forgotten, list(self.trained.keys), list(self.held_out.keys))

    def trained_masks(self) -> State:
        network, s = copy.deepcopy(self.base.network).requires_grad_(True), self.settings
        freeze_early_layers(network)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name not in self.base.constants)
        records, weights = self._with_rehearsal()
        out = self.folder / "masks"
        train(network, records, s.masks_config(weights, self.bf16), out, "cpu", ROUND_MASKS, self._counted(0))
        return averaged_weights(out)

    def mixed(self, trained: State) -> tuple[Lite, float, float]:
        """The network with the largest share of the new weights that forgets no more than allowed, that
        share, and how much it forgets.
        """
        path = self.folder / "share.json"
        if path.is_file():
            chosen = json.loads(path.read_text("utf-8"))
        else:
            chosen = self._chosen_share(trained)
            write_json(path, chosen)
        return self._mix(trained, chosen["share"]), chosen["share"], chosen["forgotten"]

    def _chosen_share(self, trained: State) -> dict[str, Any]:
        known, tried = self._remembered(self.anchor.network), list[list[float]]()
        for share in self.settings.shares:
            forgotten = known - self._remembered(self._mix(trained, share))
            tried.append([share, round(forgotten, 5)])
            if forgotten <= self.settings.forgetting:
                break
        return {"share": tried[-1][0], "forgotten": tried[-1][1], "tried": tried}

    def _mix(self, trained: State, share: float) -> Lite:
        network = Lite()
        network.load_state_dict(blend(self.anchor.network.state_dict(), trained, share))
        return network.eval()

    def _remembered(self, network: Lite) -> float:
        """IoU of first clicks on the rehearsal photos with the masks of the anchor, in one pass."""
        steps = steps_of(self.anchor.facts.get("postprocess", []))
        model = Model(TorchBackend.of(network.eval()), postprocess=steps)
        return evaluate_round(model, self.rehearsal, REMEMBERED).mean("iou_click_1")

    def trained_boxes(self, network: Lite) -> BoxHead:
        boxes, s = BoxNetwork(copy.deepcopy(network)), self.settings
        boxes.head.load_state_dict(self.base.box_head.state_dict())
        assert isinstance(boxes.head, BoxHead)
        boxes.head.scale.requires_grad_(False)
        records, weights = self._with_rehearsal()
        out = self.folder / "boxes"
        counted = self._counted(s.mask_steps)
        train(boxes, records, s.boxes_config(weights, self.bf16), out, "cpu", ROUND_BOXES, counted)
        state = averaged_weights(out)
        boxes.head.load_state_dict(
            {name: state[f"head.{name}"] for name in (*weights_of(boxes.head), "scale")}
        )
        return boxes.head.float().eval()

    def calibrate(self, card: Path) -> None:
        """Adds what was fitted to the card."""
        model, fitted = load(str(card)), self.fitted_photos()
        facts = automatic_facts(model, self.base.facts.get("automatic", {}), fitted, list(self.trained))
        temperature = fitted_temperature(model, fitted, MASKS_PER_PHOTO, model.temperature)
        complete_card(ModelFiles.of(card), {"automatic": facts, "temperature": temperature})

    def fitted_photos(self) -> list[Record]:
        """Held out, and where these are few the first trained ones besides."""
        held_out, most = list(self.held_out), self.settings.fitted_photos
        more = list(self.trained)[: max(0, min(FEWEST_FITTED, most) - len(held_out))]
        return [*held_out[:most], *more]

    def facts(self, share: float, forgotten: float) -> dict[str, Any]:
        told = {
            "photos": len(self.trained),
            "held_out": len(self.held_out),
            "share": share,
            "forgotten": forgotten,
        }
        before = {"base": self.base.fingerprint, "anchor": self.anchor.fingerprint}
        return {
            "round": {**told, **before, "settings": self.settings.to_dict(), "edges": "of the model before"}
        }

    def _with_rehearsal(self) -> tuple[RecordSource, dict[str, float]]:
        """The photos of the project and of the rehearsal, and how often the latter are drawn."""
        share = self.settings.rehearsal
        if not share or not len(self.rehearsal):
            return self.trained, {}
        often = share / (1 - share) * len(self.trained) / len(self.rehearsal)
        return self.trained + self.rehearsal, {REHEARSAL: often}

    def _counted(self, before: int) -> Progress:
        total = self.settings.mask_steps + self.settings.box_steps

        def counted(done: int, _: int) -> None:
            if self._progress is not None:
                self._progress(before + done, total)

        return counted

    def _check_plan(self) -> None:
        """Raises BadOption when the folder is of another round."""
        models = {"base": self.base.fingerprint, "anchor": self.anchor.fingerprint}
        photos = {"trained": digest_of(self.trained), "held_out": digest_of(self.held_out)}
        plan = json.loads(json.dumps({**models, **photos, "settings": self.settings.to_dict()}))
        path = self.folder / "plan.json"
        if not path.is_file():
            write_json(path, plan)
            return
        known = json.loads(path.read_text("utf-8"))
        if other := [name for name in plan if plan[name] != known.get(name)]:
            raise BadOption(f"{self.folder} holds a part of another round: {', '.join(other)} differ")


def split(records: RecordSource, hold_out: float) -> tuple[RecordSource, RecordSource]:
    """Photos to train on and to calibrate on; of two or more at least one each. Raises BadInput for none."""
    usable = [i for i, record in enumerate(records) if record.drawn]
    if not usable:
        raise BadInput(f"{records.name}: expected at least one photo with a mask, got none")
    keys = records.keys
    chosen = {i for i in usable if in_validation(keys[i], hold_out)}
    by_place = sorted(usable, key=lambda i: place(0, keys[i]))
    if len(usable) > 1 and not chosen:
        chosen = {by_place[0]}
    if len(chosen) == len(usable):
        chosen -= {by_place[-1]}
    return records.only([i for i in usable if i not in chosen]), records.only(sorted(chosen))


def digest_of(records: RecordSource) -> str:
    """Of keys and annotations."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        digest.update(json.dumps([record.key, record.fields], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16; others are slower at it than at float32."""
    known: Mapping[str, Any] = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
