"""Backend `given` keeps the dataset's captions."""

from dataclasses import replace

from schemas import Caption, Image, Scene
from schemas.job import GivenCaptions
from stages.caption import open_captioner

CAPTIONED = Scene("coco-1", Image("1.jpg"), captions=(Caption("a man rides a horse", "given"),))
BARE = Scene("coco-2", Image("2.jpg"))


def test_a_captioned_scene_passes_unchanged() -> None:
    stage = open_captioner(GivenCaptions(backend="given"), seed=0)
    stage.setup()
    assert stage.process([CAPTIONED]) == [CAPTIONED]


def test_a_scene_without_captions_goes_on_and_says_so() -> None:
    stage = open_captioner(GivenCaptions(backend="given"), seed=0)
    outcomes = stage.process([BARE, CAPTIONED])
    assert [outcome.key for outcome in outcomes] == ["coco-2", "coco-1"]
    assert isinstance(outcomes[0], Scene)
    (repair,) = outcomes[0].provenance.repairs
    assert (repair.stage, repair.reason) == ("caption", "no-caption")
    assert replace(outcomes[0], provenance=BARE.provenance) == BARE


def test_given_names_itself() -> None:
    stage = open_captioner(GivenCaptions(backend="given"), seed=0)
    assert (stage.name, stage.identity) == ("caption", "given/1")
