"""The naming network: an ImageNet trunk that stays as it is, and heads for cells, regions and the photo.

Fine-tuning for masks takes from a trunk what it knows of kinds, so this one is beside the model, not in it.
All answer in the space of word vectors: what lies at a place is what its vector is near to.

Legend: B images, R regions, C channels of the reduced features, D numbers of a word, K ImageNet classes,
H W pixels of the model frame, h w cells at stride 16.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.lite_trunk import TAP_CHANNELS, LiteTrunk, fold_batch_norm

REDUCED, NEAR, CONTEXT, HIDDEN, WORD = 384, 128, 64, 512, 128
TOP = 1280  # channels before the classifier
CLASSES = 1000
CHANNELS = (TAP_CHANNELS[2], TAP_CHANNELS[3], TOP)  # strides 8, 16 and 32
SUMMARY = 2 * sum(CHANNELS[1:])


class NamingTrunk(nn.Module):
    """EfficientNet-Lite0 with the layer before its classifier, without any pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = LiteTrunk()
        self.top = nn.Conv2d(TAP_CHANNELS[4], TOP, 1)
        self.classifier = nn.Conv2d(TOP, CLASSES, 1)

    def forward(self, x_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps at strides 8, 16 and 32."""
        _, _, t8, t16, t32 = self.trunk(x_B3HW)
        return t8, t16, F.relu6(self.top(t32))

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """From a published EfficientNet-Lite0 state dict. Raises KeyError."""
        self.trunk.load_imagenet(dict(state))
        weight, bias = fold_batch_norm(dict(state), "_conv_head", "_bn1")
        with torch.no_grad():
            self.top.weight.copy_(weight)
            self.top.bias.copy_(bias)  # type: ignore[union-attr]
            self.classifier.weight.copy_(state["_fc.weight"][:, :, None, None])
            self.classifier.bias.copy_(state["_fc.bias"])  # type: ignore[union-attr]


def at_stride_16(t8: Tensor, t16: Tensor, t32: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three maps in the cells of the middle one."""
    return F.avg_pool2d(t8, 2), t16, F.interpolate(t32, scale_factor=2.0, mode="bilinear")


class Reduction(nn.Module):
    """A fixed linear map (principal components, scaled) of the features of the three strides."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.middle = (nn.Conv2d(n, REDUCED, 1, bias=False) for n in CHANNELS[:2])
        self.coarse = nn.Conv2d(CHANNELS[2], REDUCED, 1)

    def forward(self, t8: Tensor, t16: Tensor, t32: Tensor) -> Tensor:
        coarse: Tensor = F.interpolate(self.coarse(t32), scale_factor=2.0, mode="bilinear")
        reduced: Tensor = coarse + self.middle(t16) + self.fine(F.avg_pool2d(t8, 2))
        return reduced

    def set_components(self, mean_F: Tensor, components_FC: Tensor) -> None:
        """`(features - mean) @ components`, as convolutions."""
        with torch.no_grad():
            parts = components_FC.T.split(list(CHANNELS), 1)
            for conv, part in zip((self.fine, self.middle, self.coarse), parts, strict=True):
                conv.weight.copy_(part[:, :, None, None])
            self.coarse.bias.copy_(-mean_F @ components_FC)  # type: ignore[union-attr]


class DenseHead(nn.Module):
    """What each cell shows, as unit vectors in the space of words: from the cell, the mean of those around it
    and that of the photo. All layers work on one cell, so a batch may hold cells of many photos.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(REDUCED, HIDDEN, 1)
        self.near = nn.Conv2d(NEAR, HIDDEN, 1, bias=False)
        self.whole = nn.Conv2d(CONTEXT, HIDDEN, 1, bias=False)
        self.middle = nn.Conv2d(HIDDEN, HIDDEN, 1)
        self.leave = nn.Conv2d(HIDDEN, WORD, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, own_BChw: Tensor, near_BChw: Tensor, whole_BC11: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.enter(own_BChw) + self.near(near_BChw) + self.whole(whole_BC11)))
        x = self.dropout(F.relu(self.middle(x)))
        return F.normalize(self.leave(x), dim=1)


def surroundings(features_BChw: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the 5 x 5 cells around each, and of all cells; some of the components."""
    near = F.avg_pool2d(features_BChw[:, :NEAR], 5, 1, 2, count_include_pad=False)
    return near, features_BChw[:, :CONTEXT].mean((2, 3), keepdim=True)


class RegionHead(nn.Module):
    """The kind of a region from its pooled features and the photo's, as a unit vector."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(REDUCED + CONTEXT, HIDDEN)
        self.middle = nn.Linear(HIDDEN, HIDDEN)
        self.leave = nn.Linear(HIDDEN, WORD)
        self.dropout = nn.Dropout(0.1)

    def forward(self, pooled_RC: Tensor, context_RC: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.enter(torch.cat([pooled_RC, context_RC], -1))))
        x = self.dropout(F.relu(self.middle(x)))
        return F.normalize(self.leave(x), dim=-1)


def photo_summary(t16: Tensor, t32: Tensor) -> Tensor:
    """(B, S): mean and maximum of the channels of two maps: what there is, wherever it is."""
    return torch.cat([part for t in (t32, t16) for part in (t.mean((2, 3)), t.amax((2, 3)))], 1)


class PhotoHead(nn.Module):
    """All that a photo shows, as one vector, not of unit length: its product with a word vector says how
    likely that is there, whatever its place. It knows which things come together and sees what no box holds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SUMMARY, WORD)

    def forward(self, t16: Tensor, t32: Tensor) -> Tensor:
        found: Tensor = self.linear(photo_summary(t16, t32))
        return found


class NamingNetwork(nn.Module):
    """Image to what can be pooled (reduced features, word vectors of the cells, logits of the classes) and to
    the vector of the photo.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.reduction, self.dense = NamingTrunk(), Reduction(), DenseHead()
        self.photo = PhotoHead()

    def forward(self, image_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, C, h, w), (B, D, h, w) unit vectors, (B, K, h / 2, w / 2), (B, D)."""
        maps = self.trunk(image_B3HW)
        features = self.reduction(*maps)
        dense = self.dense(features, *surroundings(features))
        return features, dense, self.trunk.classifier(maps[2]), self.photo(*maps[1:])
