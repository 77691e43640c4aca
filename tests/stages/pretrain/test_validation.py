"""Measuring a network on what people asserted: the best there is scores 1, and what counts is what was asserted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretrain_made import Network, scenes, stream_of, write_output

from schemas import BadInputError
from stages.alif.detector import DetectedPairs
from stages.picture import decode_rgb
from stages.pretrain.training import Validation

SCENES = scenes(10)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> str:
    return write_output(tmp_path_factory.mktemp("validation") / "out", SCENES)


def validation_of(output: str, *, limit: int = 10, batch_size: int = 4, stream: str | None = None) -> Validation:
    network = Network(stream_of(stream or output))
    return Validation(output, network.config, network.tokenize, limit=limit, batch_size=batch_size)


class KnowsTheTruth:
    """In the place of a detector: it answers with what the scenes say, each relation a pair of its own."""

    certainty = 1.0

    def __init__(self, model, tokenize, *, objects, predicates, multiple_of, bfloat16):
        self.objects, self.predicates = list(objects), list(predicates)
        self.scenes = {decode_rgb(scene.image.data).tobytes(): scene for scene in SCENES}

    def detect(self, pictures, *, short_side, longest):
        return [self.answer(self.scenes[picture.tobytes()]) for picture in pictures]

    def answer(self, scene):
        places = {region.id: region for region in scene.regions}
        said = list(scene.relations)
        names = [np.zeros((len(said), len(self.objects))) for _ in range(2)]
        boxes = [np.zeros((len(said), 4)) for _ in range(2)]
        predicates = np.full((len(said), len(self.predicates)), 0.01)
        for row, relation in enumerate(said):
            for end, region in enumerate((places[relation.subject], places[relation.object])):
                names[end][row, self.objects.index(region.name)] = self.certainty
                boxes[end][row] = region.box
            predicates[row, self.predicates.index(relation.predicate)] = 0.9
        return DetectedPairs(*boxes, *names, predicates)


def test_who_knows_the_truth_scores_one(output, monkeypatch):
    monkeypatch.setattr("stages.pretrain.training.validation.PairDetector", KnowsTheTruth)
    validation = validation_of(output)
    assert len(validation) == 10
    assert validation(None) == {"score": 1.0, "mAP": 1.0, "R@50": 1.0}


def test_a_network_is_measured_the_same_in_any_batches(output):
    model = Network(stream_of(output)).build().eval()
    found = [validation_of(output, batch_size=size)(model) for size in (1, 3)]
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert all(0 <= value <= 1 for value in found[0].values())
    assert not model.training


def test_the_first_scenes_of_the_log_are_taken_and_told_apart_by_their_content(output, tmp_path):
    few = validation_of(output, limit=3)
    assert len(few) == 3
    first = write_output(tmp_path / "first", SCENES[:3])
    assert few.sha256 == validation_of(first).sha256
    assert few.texts == validation_of(first).texts
    assert few.sha256 != validation_of(output, limit=4).sha256


def test_only_what_people_assert_counts(output, tmp_path):
    def changed(scene, **changes):
        return replace(scene, relations=tuple(replace(relation, **changes) for relation in scene.relations))

    alone = replace(SCENES[3], relations=tuple(replace(one, object=one.subject) for one in SCENES[3].relations))
    others = [changed(SCENES[1], source="tagger"), changed(SCENES[2], state="denied"), alone]
    mixed = write_output(tmp_path / "mixed", [SCENES[0], *others])
    validation = validation_of(mixed, stream=output)
    assert len(validation) == 1
    assert set(validation.space.predicates) == {relation.predicate for relation in SCENES[0].relations}
    nothing = write_output(tmp_path / "nothing", others)
    with pytest.raises(BadInputError, match=r"no human relations in .*nothing; a network is measured by them"):
        validation_of(nothing, stream=output)


def test_an_output_that_may_grow_is_taken_only_if_it_has_enough(tmp_path):
    output = write_output(tmp_path / "out", SCENES, seal=False)
    whole = write_output(tmp_path / "whole", SCENES)
    assert len(validation_of(output, limit=10, stream=whole)) == 10
    with pytest.raises(BadInputError, match=r"is not complete, and has 10 scenes with human relations so far, of 11"):
        validation_of(output, limit=11, stream=whole)


def test_scenes_without_pictures_are_refused(output, tmp_path):
    blind = [replace(scene, image=replace(scene.image, data=None)) for scene in SCENES]
    with pytest.raises(BadInputError, match=r"has no picture; label with `dataset\.pixels: true`"):
        validation_of(write_output(tmp_path / "blind", blind), stream=output)
    with pytest.raises(BadInputError, match=r"no dataset\.json here"):
        validation_of(str(tmp_path / "nowhere"), stream=output)


def test_random_weights_are_left_as_they_are(output):
    model = Network(stream_of(output)).build().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    validation_of(output, limit=2)(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
