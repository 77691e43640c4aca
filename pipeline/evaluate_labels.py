"""`relmill evaluate labels`: the labels of an output against relations that people wrote down."""

import csv
import io
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

from pipeline.report.sample import committed_rows, is_label
from schemas import BadInputError, Image, Region, Relation, Scene, UserError
from stages.evaluate.calibration import Bin
from stages.evaluate.graphs import Estimate
from stages.evaluate.label_quality import COUNTS, Bootstrap, LabelConventions, LabelQuality, QualityRow, QualityScore
from stages.pack import CommitLog, read_dataset_file
from stages.storage import Folder

_MOST_PREDICATES = 20
_SOURCES = get_args(Relation.__annotations__["source"])
_STATES = get_args(Relation.__annotations__["state"])


@dataclass(frozen=True, slots=True)
class LabelsEvaluation:
    """How good the labels of an output are, with all it takes to measure it again."""

    predictions: str
    predictions_job: str
    """Digest of the job that made the output."""
    predictions_sealed: bool
    """Whether the output was finished; otherwise more scenes may come."""
    ground_truth: str | None
    """None if the human relations are those of the labelled scenes themselves, on the same regions."""
    ground_truth_job: str | None
    num_unknown: int
    """Labelled scenes whose key the truth does not have. They are not measured."""
    num_unlabelled: int
    """Scenes of the truth with human relations that the output does not have. They are not measured."""
    score: QualityScore

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "predictions": self.predictions,
            "predictions_job": self.predictions_job,
            "predictions_sealed": self.predictions_sealed,
            "ground_truth": self.ground_truth,
            "ground_truth_job": self.ground_truth_job,
            "num_unknown": self.num_unknown,
            "num_unlabelled": self.num_unlabelled,
            **self.score.to_json(),
        }

    def csv_rows(self) -> list[tuple[str | int | float | None, ...]]:
        """A row for overall, each source and each predicate; the first is the head. None is an empty cell."""
        names = tuple(self.score.overall.estimates())
        head = [cell for name in names for cell in (name, f"{name}_low", f"{name}_high")]
        rows: list[tuple[str | int | float | None, ...]] = [("group", "name", *COUNTS, *head)]
        for row in self.score.rows:
            cells: list[float | None] = []
            for estimate in row.estimates().values():
                cells += [estimate.value, *(estimate.interval or (None, None))]
            rows.append((row.group, row.name, *(getattr(row, name) for name in COUNTS), *cells))
        return rows

    def to_csv(self) -> str:
        """`csv_rows` as the text of a file."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.csv_rows())
        return text.getvalue()

    def to_text(self) -> str:
        """Tables for a terminal: percentages, each with its 95 % interval."""
        predicates = self.score.by_predicate
        shown = predicates[:_MOST_PREDICATES]
        which = f"predicate, {len(shown)} of {len(predicates)}" if len(shown) < len(predicates) else "predicate"
        parts = [
            self._head(),
            _table(_overall(self.score)),
            _table(_rates("source", self.score.by_source)),
            _table(_rates(which, shown)),
            _table(_reliability(self.score.overall.reliability_width)),
        ]
        return "\n\n".join("\n".join(part) for part in parts)

    def _head(self) -> list[str]:
        score, row = self.score, self.score.overall
        chosen, drawn = score.conventions, score.bootstrap
        truth = "its own human relations, on the same regions"
        if self.ground_truth is not None:
            truth = f"{self.ground_truth}, regions matched by name and IoU of at least {chosen.iou_threshold:g}"
        wrong = score.false_positives
        lines = [
            f"labels     {self.predictions}{'' if self.predictions_sealed else ' (not sealed: more may come)'}",
            f"truth      {truth}",
            f"scenes     {score.num_scenes} measured, {score.num_left_out} left out: no human relations",
        ]
        if self.ground_truth is not None:
            lines.append(f"           {self.num_unknown} only in the labels, {self.num_unlabelled} only in the truth")
        lines += [
            f"found      {row.num_matched} of {row.num_human} human relations, by {row.num_labels} labels",
            f"wrong      {wrong.denied} denied by a human, {wrong.other_predicate} with another human predicate, "
            f"{score.num_repeated} found before,",
            f"           {wrong.silent_pair} on regions that no human related: "
            + ("counted as wrong" if chosen.truth == "closed" else "not counted as labels"),
            f"ranked by  {chosen.use}"
            + (f"; {score.num_without_probability} go by their score" if score.num_without_probability else ""),
            f"intervals  95 %, of {drawn.num_resamples} resamples of scenes, {drawn.num_ap_resamples} for AP",
        ]
        return lines


def evaluate_labels(
    predictions: str,
    ground_truth: str | None = None,
    *,
    conventions: LabelConventions | None = None,
    num_resamples: int = 1000,
    num_ap_resamples: int = 200,
    seed: int = 0,
) -> LabelsEvaluation:
    """Measure the labels of an output folder against human relations. Reads the indexes only, no shard.

    Args:
        predictions: path or URL of the output whose labels are measured.
        ground_truth: output folder with human relations of scenes of the same keys, on regions of its own; its human
            relations are held in memory, about 80 bytes each. None: the human relations are in `predictions`.
        conventions: what counts as right; the defaults of `LabelConventions` if left out.
        num_resamples: bootstrap resamples of the intervals.
        num_ap_resamples: those of the average precision.
        seed: of the bootstrap.

    Raises:
        BadInputError: if a folder is no output or is damaged, or if no scene of both has human relations.
        UserError: if an argument is out of range, or a folder may not be read.
        TransientError: if the store failed.
    """
    quality = LabelQuality(conventions)
    bootstrap = Bootstrap(num_resamples=num_resamples, num_ap_resamples=num_ap_resamples, seed=seed)
    output = _Output(predictions)
    truth = None if ground_truth is None else _Truth(_Output(ground_truth))
    num_shared = num_unknown = 0
    for place, scene in output.scenes():
        try:
            if truth is None:
                quality.add(scene)
            elif (asserted := truth.find(scene.key)) is not None:
                num_shared += 1
                quality.add_matched(scene, asserted)
            else:
                num_unknown += any(is_label(relation) for relation in scene.relations)
        except BadInputError as error:
            raise BadInputError(f"{place}: {error}") from error
    if truth is not None and not num_shared:
        raise BadInputError(
            f"{predictions} and {ground_truth} have no scene in common; scenes are known by their keys, "
            f"`<dataset>-<image id>`, so the dataset has to bear the same name in both"
        )
    if not quality.num_scenes:
        raise BadInputError(
            f"{ground_truth or predictions}: no human relations of any scene of {predictions}; "
            f"give an output of the same scenes that has some as ground truth"
        )
    try:
        score = quality.score(bootstrap)
    except BadInputError as error:
        raise BadInputError(f"{predictions}: {error}") from error
    return LabelsEvaluation(
        predictions=predictions,
        predictions_job=output.job,
        predictions_sealed=output.sealed,
        ground_truth=ground_truth,
        ground_truth_job=truth.job if truth else None,
        num_unknown=num_unknown,
        num_unlabelled=truth.num_unfound if truth else 0,
        score=score,
    )


# Reading


class _Output:
    """The scenes of an output, as far as its indexes hold them."""

    def __init__(self, url: str) -> None:
        self._folder = Folder(url)
        try:
            self.job = str(read_dataset_file(self._folder)["job"])
        except PermissionError as error:
            raise _forbidden(url, error) from error
        self.sealed = False
        """Known once `scenes` has come to its end."""

    def scenes(self) -> Iterator[tuple[str, Scene]]:
        """Every committed scene, with the name of its index for messages."""
        number = 0
        try:
            for commit in CommitLog(self._folder).entries():
                number += 1
                self.sealed = commit.sealed
                place = self._folder.path(commit.index.name) if commit.index else ""
                for row in committed_rows(self._folder, commit):
                    yield place, _scene(place, row)
        except PermissionError as error:
            raise _forbidden(self._folder.url, error) from error
        if not number:
            raise BadInputError(f"{self._folder}: nothing is committed yet; run `relmill label`")


class _Truth:
    """The human relations of an output by key, 77 bytes each: boxes, three numbers of names, the state."""

    def __init__(self, output: _Output) -> None:
        self.job = output.job
        self._numbers: dict[str, int] = {}
        self._starts = array("q", [0])
        self._found = bytearray()
        self._names: dict[str, int] = {}
        self._boxes, self._words, self._denied = array("d"), array("i"), array("b")
        for place, scene in output.scenes():
            if scene.key in self._numbers:
                raise BadInputError(f"{place}: scene {scene.key!r} is there twice; keys are unique within an output")
            self._numbers[scene.key] = len(self._found)
            self._found.append(0)
            self._keep(scene)
        self._texts = list(self._names)

    def find(self, key: str) -> Scene | None:
        """The scene with that key, only its human relations and their regions; None if the truth does not have it."""
        number = self._numbers.get(key)
        if number is None:
            return None
        self._found[number] = 1
        regions, relations = [], []
        for row in range(self._starts[number], self._starts[number + 1]):
            subject, predicate, object_ = (self._texts[word] for word in self._words[3 * row : 3 * row + 3])
            x1, y1, x2, y2, u1, v1, u2, v2 = self._boxes[8 * row : 8 * row + 8]
            # Regions are compared by name and box, so each relation may have two of its own.
            regions += [Region(2 * row, subject, (x1, y1, x2, y2)), Region(2 * row + 1, object_, (u1, v1, u2, v2))]
            state: Literal["asserted", "denied"] = "denied" if self._denied[row] else "asserted"
            relations.append(Relation(2 * row, 2 * row + 1, predicate, predicate, 1.0, "human", state=state))
        return Scene(key, Image(""), tuple(regions), relations=tuple(relations))

    @property
    def num_unfound(self) -> int:
        """Scenes with a human assertion that nobody asked for."""
        return sum(
            not found and not all(self._denied[self._starts[number] : self._starts[number + 1]])
            for number, found in enumerate(self._found)
        )

    def _keep(self, scene: Scene) -> None:
        regions = {region.id: region for region in scene.regions}
        for relation in scene.relations:
            if relation.source == "human":
                ends = regions[relation.subject], regions[relation.object]
                for word in (ends[0].name, relation.predicate, ends[1].name):
                    self._words.append(self._names.setdefault(word, len(self._names)))
                self._boxes.extend((*ends[0].box, *ends[1].box))
                self._denied.append(relation.state == "denied")
        self._starts.append(len(self._denied))


def _scene(place: str, row: dict[str, Any]) -> Scene:
    """What an index row says of relations and their regions.

    Raises:
        BadInputError: naming file, scene, relation, field, value found and expected.
    """
    regions: dict[int, Region] = {}
    relations = []
    for number, cell in enumerate(row.get("relations") or ()):
        for field, (fits, expected) in _FIELDS.items():
            value = cell.get(field)
            if not fits(value):
                raise BadInputError(
                    f"{place}: {row['key']}: relation {number}: {field} is {value!r}; expected {expected}"
                )
        for end in ("subject", "object"):
            x1, y1, x2, y2 = cell[f"{end}_box"]
            regions[cell[f"{end}_id"]] = Region(cell[f"{end}_id"], cell[end], (x1, y1, x2, y2))
        relations.append(
            Relation(
                subject=cell["subject_id"],
                object=cell["object_id"],
                predicate=cell["predicate"],
                text=cell["predicate"],
                score=cell["score"],
                source=cell["source"],
                probability=cell["probability"],
                state=cell["state"],
            )
        )
    return Scene(row["key"], Image(""), tuple(regions.values()), relations=tuple(relations))


def _is_id(value: Any) -> bool:
    return type(value) is int


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(isinstance(x, float) and isfinite(x) for x in value)


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{f"{end}_id": (_is_id, "a whole number") for end in ("subject", "object")},
    **dict.fromkeys(("subject", "predicate", "object"), (_is_text, "a text")),
    **{f"{end}_box": (_is_box, "four finite numbers") for end in ("subject", "object")},
    "score": (_is_share, "a number in [0, 1]"),
    "probability": (lambda value: value is None or _is_share(value), "a number in [0, 1], or null"),
    "source": (_SOURCES.__contains__, f"one of {', '.join(_SOURCES)}"),
    "state": (_STATES.__contains__, f"one of {', '.join(_STATES)}"),
}


def _forbidden(url: str, error: PermissionError) -> UserError:
    return UserError(f"{url}: may not be read: {error}")


# Tables


def _overall(score: QualityScore) -> list[tuple[str, ...]]:
    titles = {
        "precision_closed": "precision, closed",
        "precision_spoken_pairs": "precision, spoken pairs",
        "recall": "recall",
        "f1": "F1",
        "ap": "AP",
        "ece_width": "calibration error, equal width",
        "ece_mass": "calibration error, equal mass",
        "brier": "Brier score",
    }
    estimates = score.overall.estimates()
    return [("overall", "percent"), *((title, _percent(estimates[name])) for name, title in titles.items())]


def _rates(title: str, rows: Sequence[QualityRow]) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [(title, "labels", "human", "precision", "recall", "AP", "ECE")]
    for row in rows:
        rates = (_percent(one) for one in (row.precision, row.recall, row.ap, row.ece_width))
        table.append((row.name, str(row.num_labels), str(row.num_human), *rates))
    return table


def _reliability(bins: Sequence[Bin]) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [("score", "labels", "mean score", "right")]
    for one in bins:
        shares = (_percent(Estimate(value, None)) for value in (one.mean_score, one.hit_rate))
        table.append((f"{one.low:.2f} to {one.high:.2f}", str(one.num), *shares))
    return table


def _percent(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    text = f"{100 * estimate.value:.1f}"
    if estimate.interval is not None:
        text += " ({:.1f} to {:.1f})".format(*(100 * bound for bound in estimate.interval))
    return text


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
