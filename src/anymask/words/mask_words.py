"""Words for masks that are there already: a name for each, or only those that are like an exemplar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anymask.core.mask import Mask
from anymask.core.resample import Pixels
from anymask.words.naming import NamingModel, mean_exemplar
from anymask.words.search import name_masks

PLACES = 4  # of numbers in records


@dataclass(frozen=True, slots=True)
class MaskWords:
    """`names`: give each mask a name. `exemplars`: keep only masks that show what these do, see
    `NamingModel.exemplar`.
    """

    names: bool = False
    exemplars: tuple[tuple[float, ...], ...] = ()

    def __bool__(self) -> bool:
        return self.names or bool(self.exemplars)

    def told(
        self, namer: NamingModel, pixels_HW3: Pixels, masks: Sequence[Mask]
    ) -> list[tuple[int, dict[str, Any]]]:
        """The numbers of the masks that stay, with what is added to each: `category` and
        `category_probability`, `similarity`.
        """
        features = namer.look(pixels_HW3)
        fields: list[dict[str, Any]] = [{} for _ in masks]
        stays = [True] * len(masks)
        if self.exemplars and masks:
            exemplar_C = mean_exemplar(self.exemplars)
            like = namer.similarity(namer.regions_of_masks(features, masks), exemplar_C)
            stays = (like >= namer.table.fact("like_threshold")).tolist()
            fields = [{"similarity": round(float(one), PLACES)} for one in like]
        if self.names:
            named = name_masks(namer, features, masks)
            for one, (name, chance) in zip(fields, named, strict=True):
                one |= {"category": name, "category_probability": round(chance, PLACES)}
        return [(i, one) for i, one in enumerate(fields) if stays[i]]
