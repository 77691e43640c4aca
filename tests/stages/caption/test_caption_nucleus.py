"""Nucleus sampling with outside numbers: exact, and tied to the scene alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.caption.nucleus import NucleusChoice, uniform_numbers

torch = pytest.importorskip("torch", reason="needs the blip extra: pip install -e '.[blip]'")


def draw(uniform: float, *, top_p: float) -> int:
    """The token drawn from the probabilities 0.15, 0.5, 0.05, 0.3 at a uniform number."""
    scores = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()
    choice = NucleusChoice(torch.tensor([[uniform]], dtype=torch.float64), prompt_length=3, top_p=top_p)
    chosen = choice(torch.zeros(1, 3, dtype=torch.long), scores)
    assert chosen.isfinite().sum() == 1
    return int(chosen.argmax())


@pytest.mark.parametrize(
    ("uniform", "token"),
    # The nucleus of 0.9 is {0.5, 0.3, 0.15}, mass 0.95: borders at 0.5 / 0.95 = 0.526 and 0.8 / 0.95 = 0.842.
    [(0.0, 1), (0.52, 1), (0.53, 3), (0.84, 3), (0.85, 0), (1 - 2**-53, 0)],
)
def test_the_token_is_the_inverse_of_the_cumulative_distribution(uniform: float, token: int) -> None:
    assert draw(uniform, top_p=0.9) == token


@given(st.floats(0, 1, exclude_max=True))
def test_a_token_outside_the_nucleus_is_never_drawn(uniform: float) -> None:
    assert draw(uniform, top_p=0.9) != 2
    assert draw(uniform, top_p=0.4) == 1


def test_each_step_uses_its_own_number() -> None:
    scores = torch.tensor([[0.5, 0.5]]).log()
    choice = NucleusChoice(torch.tensor([[0.1, 0.9]], dtype=torch.float64), prompt_length=2, top_p=1.0)
    drawn = [int(choice(torch.zeros(1, length, dtype=torch.long), scores).argmax()) for length in (2, 3)]
    assert drawn == [0, 1]


def test_numbers_are_pinned() -> None:
    """A change here changes every sampled caption of every dataset: it needs a new version in the stage's identity."""
    assert uniform_numbers(0, "coco-1", 0, 2) == [0.13361668824254835, 0.146440734262407]


def test_seed_scene_and_sample_each_change_the_numbers() -> None:
    drawn = [uniform_numbers(*of, 1)[0] for of in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))]
    assert len(set(drawn)) == 4
