"""Text tokens in the prompt encoder: in any mix with points, boxes and masks, and without a trace where there
is none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sam_references import seeded, tiny_sam

from anymask.errors import BadOption
from anymask.networks.checkpoints import build_with, write_tensors
from anymask.networks.presets import build
from anymask.networks.sam import Sam

DIM = 24


@pytest.fixture(scope="module")
def with_text() -> Sam:
    model = tiny_sam()
    with seeded(5):
        model.prompt_encoder.add_text(DIM)
    return model.eval()


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("tokens", [0, 1, 3])
def test_text_comes_last_in_any_mix(
    with_text: Sam, points: bool, boxes: bool, masks: bool, tokens: int
) -> None:
    encoder = with_text.prompt_encoder
    with seeded(1):
        given = (
            (torch.rand(2, 3, 2) * 100, torch.ones(2, 3)) if points else None,
            torch.rand(2, 4) * 100 if boxes else None,
            torch.randn(2, 1, 32, 32) if masks else None,
        )
        text = torch.randn(2, tokens, DIM) if tokens else None
    sparse, dense = encoder(*given, text=text)
    plain, plain_dense = encoder(*given)
    count = 3 * points + (points and not boxes) + 2 * boxes
    prompts = 2 if any((points, boxes, masks, tokens)) else 1
    assert sparse.shape == (prompts, count + tokens, encoder.embed_dim)
    if any((points, boxes, masks)):
        assert torch.equal(sparse[:, :count], plain) and torch.equal(dense, plain_dense)
    if text is not None:
        assert torch.allclose(sparse[:, count:], encoder.text_projection(text) + encoder.text_embed.weight)


def test_a_network_without_text_is_as_it_was(with_text: Sam) -> None:
    plain = tiny_sam().eval()
    assert not any("text" in name for name in plain.state_dict())
    shared = {name: tensor for name, tensor in with_text.state_dict().items() if "text" not in name}
    assert shared.keys() == plain.state_dict().keys()
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in shared.items())
    with pytest.raises(BadOption, match="text_paper"):
        plain.prompt_encoder(None, None, None, text=torch.zeros(1, 1, DIM))


def test_a_text_changes_the_mask_and_joins_clicks(with_text: Sam) -> None:
    with seeded(2), torch.no_grad():
        embedding = with_text.encode_image(torch.randn(1, 3, 128, 128))
        points, labels = torch.rand(2, 1, 2) * 128, torch.ones(2, 1)
        text = torch.randn(2, 1, DIM)
        clicks = with_text.decode(embedding, points, labels).low_res_masks_P4mm
        again = with_text.decode(embedding, points, labels, text_PTD=None).low_res_masks_P4mm
        both = with_text.decode(embedding, points, labels, text_PTD=text).low_res_masks_P4mm
    assert torch.equal(clicks, again)
    assert both.shape == clicks.shape and not torch.allclose(both, clicks)


def test_weights_with_text_come_back_from_a_file(tmp_path: Path) -> None:
    model = build("mobile_sam")
    assert isinstance(model, Sam)
    model.prompt_encoder.add_text(DIM)
    write_tensors(tmp_path / "text.safetensors", model.state_dict())
    loaded = build_with(dict(model.state_dict()), "mobile_sam", tmp_path / "text.safetensors")
    assert isinstance(loaded, Sam) and loaded.prompt_encoder.text_projection is not None
    assert torch.equal(
        loaded.prompt_encoder.text_projection.weight, model.prompt_encoder.text_projection.weight
    )
