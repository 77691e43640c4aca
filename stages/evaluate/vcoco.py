"""V-COCO: average precision of who acts, and of what they act on (Gupta and Malik 2015).

The default conventions are those of `vsrl_eval.py` of s-gupta/v-coco. A prediction is one person with a score for every
action, and for every role of an action a box and a score. It is compared with the one true person that it overlaps
most, whatever the action.

- `AP agent`: the person is found and does the action.
- `AP role`: moreover the box of the role is right. Where the person has nobody and nothing in that role, scenario 1
  wants that no box is predicted (zeros, or not a number); scenario 2 takes any box. Ranked by the role's own score.

Everyone who does the action counts as positive for each of its roles, with or without a box there. The role of `point`
has so few positives that most papers leave it out: hence the means "without point".

Faults of the official code, kept under their names and mended in `CORRECTED`:

- `unannotated_people`: the person that a prediction overlaps most may be one whose actions nobody annotated; then the
  prediction is dropped, however small the overlap. If it overlaps nobody at all, the first person of the image decides.
  So false positives cost nothing in many images.
- `images_without_people`: the code stops with an error if there are predictions on an image without a true person.
  Here such an image counts nothing by default.
- `zero_role_boxes`: four zeros mean that no box is predicted, yet where there is a true box they are compared with it
  as if they were the pixel in the corner.
- `numbers`: boxes and scores are rounded to float32, so scores that differ may become equal.

Where an action has no positives or no predictions the official code stops too. Here an action that nobody does has no
value and stays out of the means, and one that is never predicted has the value 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from stages.evaluate.average_precision import Interpolation, Ties, precision_recall
from stages.evaluate.benchmark import BenchmarkScore, ClassScore, mean
from stages.evaluate.boxes import BoxEdges, iou_matrix
from stages.evaluate.detections import Bools, Floats, Ints

SCENARIOS = ("AP role scenario 1", "AP role scenario 2")
AGENT = "AP agent"
_POINT = "point"


@dataclass(frozen=True, slots=True)
class Action:
    """What a person does, and the roles that others play in it: `hit` has `instr` and `obj`, `walk` has none."""

    name: str
    roles: tuple[str, ...]


# Shape letters of this file: N true people, M predicted people, K of these that count, A actions, R most roles that an
# action has, C pairs of an action and one of its roles.


@dataclass(frozen=True, slots=True)
class VCocoImageTruth:
    """The people of an image and what they do."""

    people: Floats
    """(N, 4)"""
    labels: Ints
    """(N, A): 1 does it, 0 does not; -1 throughout if nobody said what this person does."""
    role_boxes: Floats
    """(N, A, R, 4); not a number where there is none."""


@dataclass(frozen=True, slots=True)
class VCocoPrediction:
    """The people that a model found in an image, in any order, and what they do by its scores.

    A score is finite, or not a number: then nothing is predicted for that action or role.
    """

    people: Floats
    """(M, 4)"""
    agent_scores: Floats
    """(M, A)"""
    roles: Floats
    """(M, A, R, 5): box and score. A box of zeros or of not-a-number: nothing plays the role."""

    @classmethod
    def nobody(cls, actions: Sequence[Action]) -> "VCocoPrediction":
        """The prediction of an image in which a model found nobody."""
        return cls(np.zeros((0, 4)), np.zeros((0, len(actions))), np.zeros((0, len(actions), most_roles(actions), 5)))


def most_roles(actions: Sequence[Action]) -> int:
    """R, the most roles that any of the actions has."""
    return max((len(action.roles) for action in actions), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VCocoConventions:
    """What two evaluators of V-COCO could do differently."""

    ap: Interpolation = "all_points"
    iou_threshold: float = 0.5
    """The person, and the role's box, overlap by at least this."""
    box_edges: BoxEdges = "inclusive"
    ties: Ties = "together"
    unannotated_people: Literal["nearest", "found"] = "nearest"
    """A prediction is dropped if the person it overlaps most is unannotated: always, or if the overlap is enough."""
    images_without_people: Literal["ignore", "count"] = "ignore"
    """False positives on images without a true person."""
    zero_role_boxes: Literal["pixel", "nothing"] = "pixel"
    """Whether a role box of zeros can find a true box."""
    people_without_role: Literal["count", "leave_out"] = "count"
    """Of those who do the action, people with nobody and nothing in the role: positives for it, or not looked at."""
    numbers: Literal["float32", "float64"] = "float32"
    """What boxes and scores are rounded to before they are compared. Precision and recall are always float64."""


OFFICIAL = VCocoConventions()
CORRECTED = VCocoConventions(
    unannotated_people="found", images_without_people="count", zero_role_boxes="nothing", numbers="float64"
)

PRESETS: Mapping[str, VCocoConventions] = {"official": OFFICIAL, "corrected": CORRECTED}


class VCocoEvaluator:
    """Adds up, over images, what a model found of V-COCO.

    Memory: 300 bytes a counted person with V-COCO's 26 actions, 500 with float64 numbers.
    """

    def __init__(self, actions: Sequence[Action], conventions: VCocoConventions = OFFICIAL) -> None:
        self._actions = tuple(actions)
        self._conventions = conventions
        columns = [(number, place) for number, action in enumerate(actions) for place in range(len(action.roles))]
        self._action_of, self._place_of = np.array(columns, dtype=np.int64).reshape(-1, 2).T
        self._num_doing = np.zeros(len(actions), dtype=np.int64)
        self._num_in_role = np.zeros(len(columns), dtype=np.int64)
        self._found = [self._missed(VCocoPrediction.nobody(actions))]

    def add(self, truth: VCocoImageTruth, prediction: VCocoPrediction) -> None:
        """Count an image; one without predictions as `VCocoPrediction.nobody`."""
        self._num_doing += (truth.labels == 1).sum(axis=0)
        self._num_in_role += self._positives(truth).sum(axis=0)
        if len(prediction.people) == 0:
            return
        if len(truth.people) == 0:
            if self._conventions.images_without_people == "count":
                self._found.append(self._missed(prediction))
            return
        self._found.append(self._counted(truth, prediction))

    def score(self) -> BenchmarkScore:
        """Average precision by role and scenario and by agent, and their means."""
        agents, roles, agent_hits, *role_hits = (np.concatenate(part) for part in zip(*self._found, strict=True))
        rows = []
        for scenario, found in zip(SCENARIOS, role_hits, strict=True):
            for column, (number, place) in enumerate(zip(self._action_of, self._place_of, strict=True)):
                action = self._actions[number]
                name = f"{action.name} {action.roles[place]}"
                positives = int(self._num_in_role[column])
                rows.append(self._class_score(name, scenario, positives, roles[:, column], found[:, column]))
        for number, action in enumerate(self._actions):
            positives = int(self._num_doing[number])
            rows.append(self._class_score(action.name, AGENT, positives, agents[:, number], agent_hits[:, number]))
        figures = {scenario: _mean_of(rows, scenario) for scenario in SCENARIOS}
        for scenario in SCENARIOS:
            figures[f"{scenario} without {_POINT}"] = _mean_of(rows, scenario, without=f"{_POINT} ")
        return BenchmarkScore(figures | {AGENT: _mean_of(rows, AGENT)}, tuple(rows))

    def _counted(self, truth: VCocoImageTruth, prediction: VCocoPrediction) -> "_Counted":
        """The predicted people that count in an image that has people, and what is right about them."""
        chosen = self._conventions
        overlaps = iou_matrix(self._rounded(truth.people), self._rounded(prediction.people), edges=chosen.box_edges)
        person = overlaps.argmax(axis=0)
        found = overlaps[person, np.arange(len(person))] >= chosen.iou_threshold
        unannotated: Bools = np.any(truth.labels < 0, axis=1)
        dropped = unannotated[person]
        if chosen.unannotated_people == "found":
            dropped &= found
        kept = np.flatnonzero(~dropped)
        person, found = person[kept], found[kept]

        agent_scores = self._rounded(prediction.agent_scores)[kept]
        roles = self._roles(prediction)[kept]
        does = found[:, None] & (truth.labels == 1)[person]
        fits = self._fits(truth, person, does[:, self._action_of], roles)
        # A copy, because a view would keep all the boxes in memory.
        role_scores = roles[..., 4].copy()
        role_scores[does[:, self._action_of] & ~self._positives(truth)[person]] = np.nan
        role_hits = (_best_of_each(person, one, role_scores) for one in fits)
        return _Counted(agent_scores, role_scores, _best_of_each(person, does, agent_scores), *role_hits)

    def _missed(self, prediction: VCocoPrediction) -> "_Counted":
        """All the predicted people, none of whom is there."""
        agent_scores, roles = self._rounded(prediction.agent_scores), self._roles(prediction)
        none = np.zeros(roles.shape[:2], dtype=np.bool_)
        return _Counted(agent_scores, roles[..., 4].copy(), np.zeros(agent_scores.shape, dtype=np.bool_), none, none)

    def _roles(self, prediction: VCocoPrediction) -> Floats:
        """(M, C, 5)"""
        return self._rounded(prediction.roles[:, self._action_of, self._place_of])

    def _rounded(self, values: Floats) -> Floats:
        return values.astype(self._conventions.numbers)

    def _positives(self, truth: VCocoImageTruth) -> Bools:
        """(N, C) whom there is to find in a role."""
        does: Bools = truth.labels[:, self._action_of] == 1
        if self._conventions.people_without_role == "leave_out":
            does &= self._in_role(truth)
        return does

    def _in_role(self, truth: VCocoImageTruth) -> Bools:
        """(N, C) whether there is a box in the role."""
        return np.asarray(~np.all(np.isnan(truth.role_boxes[:, self._action_of, self._place_of]), axis=-1))

    def _fits(self, truth: VCocoImageTruth, person: Ints, does: Bools, roles: Floats) -> tuple[Bools, Bools]:
        """(K, C) by scenario, whether action and role are right.

        Args:
            person: (K,) the true person of each prediction.
            does: (K, C) whether that person is found and does the action.
            roles: (K, C, 5)
        """
        chosen = self._conventions
        true_boxes = self._rounded(truth.role_boxes[:, self._action_of, self._place_of])
        exists = self._in_role(truth)
        zeros: Bools = np.all(roles[..., :4] == 0, axis=-1)
        silent: Bools = zeros | np.all(np.isnan(roles[..., :4]), axis=-1)

        overlaps = np.zeros(does.shape, dtype=np.bool_)
        compared = does & exists[person]
        if chosen.zero_role_boxes == "nothing":
            compared &= ~zeros
        # A box of truth at a time, with all that is predicted for it: few boxes, and no pair is computed in vain.
        wanted = np.zeros(exists.shape, dtype=np.bool_)
        np.logical_or.at(wanted, person, compared)
        for who, column in np.argwhere(wanted):
            rows = np.flatnonzero((person == who) & compared[:, column])
            true_box = true_boxes[who, column][None]
            overlap = iou_matrix(true_box, roles[rows, column, :4], edges=chosen.box_edges)[0]
            overlaps[rows, column] = overlap >= chosen.iou_threshold

        nobody_there = ~exists[person]
        return does & np.where(nobody_there, silent, overlaps), does & (nobody_there | overlaps)

    def _class_score(self, name: str, measure: str, positives: int, scores: Floats, hits: Bools) -> ClassScore:
        """Scores that are not a number are no predictions, as in the official code."""
        predicted = ~np.isnan(scores)
        curve = precision_recall(scores[predicted], hits[predicted], max(positives, 1), ties=self._conventions.ties)
        return ClassScore(
            name=name,
            group="",
            measure=measure,
            value=curve.average_precision(self._conventions.ap) if positives else None,
            max_recall=curve.max_recall if positives else None,
            num_truths=positives,
            num_predictions=int(predicted.sum()),
        )


class _Counted(NamedTuple):
    """The predicted people of an image that count, and what is right about them."""

    agent_scores: Floats
    """(K, A)"""
    role_scores: Floats
    """(K, C)"""
    agent_hits: Bools
    """(K, A)"""
    role_hits_1: Bools
    """(K, C) in scenario 1"""
    role_hits_2: Bools
    """(K, C) in scenario 2"""


def _best_of_each(person: Ints, right: Bools, scores: Floats) -> Bools:
    """(K, C) of the right predictions for each person and column, the best; of equal scores the first.

    Args:
        person: (K,) whom each prediction is about.
        right: (K, C)
        scores: (K, C)
    """
    hits = np.zeros(right.shape, dtype=np.bool_)
    columns = np.arange(right.shape[1])
    right = right & ~np.isnan(scores)
    for who in np.unique(person[right.any(axis=1)]):
        rows = np.flatnonzero(person == who)
        best = np.where(right[rows], scores[rows], -np.inf).argmax(axis=0)
        hits[rows[best], columns] = right[rows[best], columns]
    return hits


def _mean_of(rows: list[ClassScore], measure: str, *, without: str | None = None) -> float | None:
    """The mean over what has a value, except names that start with `without`."""
    chosen = [row for row in rows if row.measure == measure and not (without and row.name.startswith(without))]
    return mean([row.value for row in chosen if row.value is not None])
