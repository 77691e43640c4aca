"""The fusion of image and texts: the numbers of the published code, and what holds for any weights."""

from pathlib import Path

import pytest
import torch
from parity_made import difference, fixtures, load, one_file, spec_values, tensors
from torch import Tensor

from stages.alif.fusion import BidirectionalFusion, Gate
from stages.alif.published_encoder import FUSION_NAMES

# Published name of the gate: ours.
GATES: dict[str, Gate] = {"VXAc": "scalar", "GLIP": "channel"}


def made(*, gate: Gate = "channel", published: bool = False, seed: int = 5) -> BidirectionalFusion:
    """Vision width 6, language width 10, match width 8, two heads, every weight random."""
    torch.manual_seed(seed)
    fusion = BidirectionalFusion(6, 10, 8, 2, gate=gate, published=published).double().eval()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return fusion


def inputs(*, images: int = 2, pixels: int = 7, texts: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(11)
    sizes = ((pixels, 6), (pixels, 6), (texts, 10))
    vision, position, language = (torch.randn(images, *size, dtype=torch.float64) for size in sizes)
    return vision, position, language


# The fixture's own rounding takes 7.5e-6 of it (vision, "channel"); the rest leaves room for another order of sums.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1.5e-5), (torch.float64, 1e-5)])
@pytest.mark.parametrize("published", [False, True])
def test_gives_the_published_numbers(test_data: Path, *, published: bool, dtype: torch.dtype, tolerance: float) -> None:
    """The masks of the published code do not mask; ours do, unless told otherwise."""
    cases = ["nopad", "pad_published" if published else "pad_intended"]
    for folder in fixtures(test_data, "F2_alif_fusion"):
        given = tensors(one_file(folder, "*.safetensors"))
        values = spec_values(one_file(folder, "*.spec.json"))
        for theirs, gate in GATES.items():
            fusion = BidirectionalFusion(256, 768, 2048, 8, gate=gate, published=published)
            load(fusion, values, FUSION_NAMES)
            fusion.to(dtype)
            for case in cases:
                padding = (None, None) if case == "nopad" else (given["vis_padding_mask"], given["lang_padding_mask"])
                with torch.inference_mode():
                    vision, language = fusion(*(given[name].to(dtype) for name in ("src", "pos", "lang")), *padding)
                assert difference(vision, given[f"{theirs}.{case}.src"]) < tolerance, (folder.name, theirs, case)
                assert difference(language, given[f"{theirs}.{case}.lang"]) < tolerance, (folder.name, theirs, case)


def test_padding_changes_no_other_place() -> None:
    fusion = made()
    vision, position, language = inputs()
    vision_padding = torch.arange(7).expand(2, -1) >= torch.tensor([[5], [7]])
    language_padding = torch.arange(5).expand(2, -1) >= torch.tensor([[5], [2]])

    fused_vision, fused_language = fusion(vision, position, language, vision_padding, language_padding)

    for image, (pixels, texts) in enumerate([(5, 5), (7, 2)]):
        one = slice(image, image + 1)
        alone_vision, alone_language = fusion(vision[one, :pixels], position[one, :pixels], language[one, :texts])
        assert difference(fused_vision[one, :pixels], alone_vision) < 1e-12
        assert difference(fused_language[one, :texts], alone_language) < 1e-12


def test_the_published_masks_do_nothing() -> None:
    fusion = made(published=True)
    given = inputs()
    padding = torch.ones(2, 7, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)

    for masked, free in zip(fusion(*given, *padding), fusion(*given), strict=True):
        assert torch.equal(masked, free)


def test_an_image_of_padding_alone_stays_finite() -> None:
    given = inputs()
    padding = torch.ones(2, 7, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)

    assert all(bool(torch.isfinite(result).all()) for result in made()(*given, *padding))


def test_the_order_of_texts_and_pixels_changes_only_the_order_of_the_answer() -> None:
    fusion = made()
    vision, position, language = inputs()
    texts, pixels = torch.randperm(5), torch.randperm(7)

    fused_vision, fused_language = fusion(vision, position, language)
    other_vision, other_language = fusion(vision[:, pixels], position[:, pixels], language[:, texts])

    assert difference(other_vision, fused_vision[:, pixels]) < 1e-12
    assert difference(other_language, fused_language[:, texts]) < 1e-12


def test_the_scalar_gate_is_the_first_number_of_the_vector() -> None:
    scalar, channel = made(gate="scalar"), made(gate="channel")
    given = inputs()
    assert difference(scalar(*given)[0], channel(*given)[0]) > 0.1

    with torch.no_grad():
        for gate in (channel.gate_vision, channel.gate_language):
            gate.fill_(gate[0].item())

    for left, right in zip(scalar(*given), channel(*given), strict=True):
        assert torch.equal(left, right)


def test_a_closed_gate_leaves_the_normalised_input() -> None:
    fusion = made()
    torch.nn.init.zeros_(fusion.gate_vision)
    torch.nn.init.zeros_(fusion.gate_language)
    vision, position, language = inputs()

    fused_vision, fused_language = fusion(vision, position, language)

    assert torch.equal(fused_vision, fusion.norm_vision(vision))
    assert torch.equal(fused_language, fusion.norm_language(language))


def test_gates_start_at_a_quarter_and_learn() -> None:
    fusion = BidirectionalFusion(6, 10, 8, 2)
    assert fusion.gate_vision.unique().tolist() == fusion.gate_language.unique().tolist() == [0.25]

    vision, language = fusion(*(tensor.float() for tensor in inputs()))
    (vision.square().sum() + language.square().sum()).backward()

    assert all(parameter.grad is not None for parameter in fusion.parameters())
    assert torch.count_nonzero(fusion.gate_vision.grad) == 1  # the scalar gate


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="match_width is 10, num_heads 4"):
        BidirectionalFusion(6, 10, 10, 4)
