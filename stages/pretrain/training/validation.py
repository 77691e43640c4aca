"""How good a network is while it is trained, on pictures that it does not learn from: does it see what people asserted?

The measure is that of `relmill evaluate openimages` with corrected conventions, unweighted: average precision of each
predicate, and their mean. The network is asked about all names and predicates of these pictures at once.

Shape letters: Q pairs that the network looks for, R predicates.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from schemas import BadInputError, Scene
from schemas.layer import Statement
from stages.alif.config import AlifConfig
from stages.alif.detector import DetectedPairs, PairDetector
from stages.alif.images import MOST_WASTE, network_size, similar_sizes
from stages.alif.model import AlifModel
from stages.alif.text_encoder import Tokenize
from stages.evaluate import ImagePrediction, ImageTruth, LabelSpace, OpenImagesEvaluator, image_truth
from stages.evaluate.openimages import CORRECTED
from stages.pack import CommitLog, Layers, read_dataset_file, read_index, read_scene
from stages.picture import decode_rgb
from stages.storage import Folder, permitted


@dataclass(frozen=True)
class _Picture:
    """A picture with what people said about it."""

    row: dict[str, Any]
    """Of the index: where the scene lies."""
    said: tuple[Statement, ...]
    """What people said of it after it was labelled."""
    width: int
    height: int
    truth: ImageTruth


class Validation:
    """The `Score` of some pictures. Holds their relations; pictures are read anew each time.

    Usage::

        validation = Validation("out/heldout", config, tokenize, limit=500, batch_size=8)
        validation(model.eval())  # {"score": 0.12, "mAP": 0.12, "R@50": 0.31}
    """

    def __init__(
        self,
        output: str,
        config: AlifConfig,
        tokenize: Tokenize,
        *,
        limit: int,
        batch_size: int,
        bfloat16: bool = False,
        layers: int | None = None,
    ) -> None:
        """
        Args:
            output: folder or URL of an output of `relmill label`.
            config: of the network.
            tokenize: its tokenizer.
            limit: scenes with human relations, the first in the order of the log.
            batch_size: pictures measured together at most.
            bfloat16: see `PairDetector`.
            layers: how many layers of what people said since are read; None: all that are there now.

        Raises:
            BadInputError: if it is no output, has no such scenes or no pictures, has fewer of them than `limit` and
                may get more, which would change the measure, or if its layers are damaged or of another output.
        """
        self._folder = Folder(output)
        self._config, self._tokenize = config, tokenize
        self._batch_size, self._bfloat16 = batch_size, bfloat16
        with permitted(output):
            self.layers = Layers.of(self._folder, layers)
            scenes = list(_human_scenes(self._folder, self.layers, limit))
        if not scenes:
            raise BadInputError(
                f"no human relations in {output}; a network is measured by them. Label a dataset that has some, or "
                f"leave out `validation`"
            )
        self.space = LabelSpace(
            tuple(sorted({region.name for _, scene in scenes for region in scene.regions})),
            tuple(sorted({predicate for _, scene in scenes for _, _, predicate in _said(scene)})),
        )
        self._pictures = [self._picture(row, scene) for row, scene in scenes]

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that the network is asked about."""
        return (*self.space.objects, *self.space.predicates)

    @property
    def sha256(self) -> str:
        """Hex digest of what decides a score: which scenes there are, and their content."""
        digest = hashlib.sha256()
        for picture in self._pictures:
            row = picture.row
            digest.update(f"{row['key']}\0{row['image_crc32']}\0{row['json_crc32']}\n".encode())
            for one in picture.said:
                digest.update(f"{one.subject}\0{one.object}\0{one.predicate}\0{one.state}\n".encode())
        return digest.hexdigest()

    def __call__(self, model: AlifModel) -> dict[str, float]:
        """Measure a network in evaluation mode, on its device.

        Returns:
            `mAP`, the unweighted mean over predicates; `R@50`; and `score`, which is `mAP`. Each in [0, 1].

        Raises:
            BadInputError: if a picture cannot be read.
        """
        detector = PairDetector(
            model,
            self._tokenize,
            objects=self.space.objects,
            predicates=self.space.predicates,
            multiple_of=self._config.coarsest_stride,
            bfloat16=self._bfloat16,
        )
        evaluator, size = OpenImagesEvaluator(self.space, CORRECTED), self._config.picture
        sizes = [
            network_size(one.width, one.height, short_side=size.short_side, longest=size.longest)[::-1]
            for one in self._pictures
        ]
        for batch in similar_sizes(sizes, most=self._batch_size, waste=MOST_WASTE):
            some = [self._pictures[number] for number in batch]
            pixels = [self._pixels(picture) for picture in some]
            found = detector.detect(pixels, short_side=size.short_side, longest=size.longest)
            for picture, pairs in zip(some, found, strict=True):
                evaluator.add(picture.truth, _prediction(pairs))
        figures = evaluator.score().figures
        mean_ap, recall = figures["mAP_rel"], figures["R@50"]
        assert mean_ap is not None, "there are human relations"
        assert recall is not None, "there are human relations"
        return {"score": mean_ap, "mAP": mean_ap, "R@50": recall}

    def _picture(self, row: dict[str, Any], scene: Scene) -> _Picture:
        if row["image_offset"] is None:
            raise BadInputError(
                f"{scene.key} in {self._folder}: has no picture; label with `dataset.pixels: true` to measure a "
                f"network on it"
            )
        objects = {name: number for number, name in enumerate(self.space.objects)}
        predicates = {name: number for number, name in enumerate(self.space.predicates)}
        places = {region.id: place for place, region in enumerate(scene.regions)}
        truth = image_truth(
            [region.box for region in scene.regions],
            [objects[region.name] for region in scene.regions],
            [(places[subject], places[other], predicates[predicate]) for subject, other, predicate in _said(scene)],
        )
        place = {name: row[name] for name in _PLACE}
        said = self.layers.said_of(row["key"], row["json_crc32"])
        return _Picture(place, said, row["width"], row["height"], truth)

    def _pixels(self, picture: _Picture) -> Image.Image:
        scene = read_scene(self._folder, picture.row)
        try:
            return decode_rgb(scene.image.data or b"")
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever they stumble over
            raise BadInputError(f"{scene.key} in {self._folder}: {type(error).__name__}: {error}") from error


_PLACE = ("key", "shard", *(f"{m}_{what}" for m in ("image", "json") for what in ("offset", "length", "crc32")))


def _human_scenes(folder: Folder, layers: Layers, limit: int) -> Iterator[tuple[dict[str, Any], Scene]]:
    """The first scenes of which people assert something, with their index rows."""
    read_dataset_file(folder)  # refuses what is no output
    found, sealed = 0, False
    for commit in CommitLog(folder).entries():
        sealed = commit.sealed
        for row in read_index(folder, commit):
            if found < limit and any(_is_human(relation) for relation in layers.applied_row(row)["relations"]):
                found += 1
                yield row, read_scene(folder, row, pixels=False, layers=layers)
        if found == limit:
            return
    if not sealed:
        raise BadInputError(
            f"{folder}: is not complete, and has {found} scenes with human relations so far, of {limit} to measure a "
            f"network on; finish `relmill label`, or lower validation.limit"
        )


def _is_human(relation: dict[str, Any]) -> bool:
    is_said = relation["source"] == "human" and relation["state"] == "asserted"
    return is_said and bool(relation["subject_id"] != relation["object_id"])


def _said(scene: Scene) -> list[tuple[int, int, str]]:
    """Ids of subject and object, and the predicate, of what people asserted; a thing is in no relation with itself."""
    return [
        (relation.subject, relation.object, relation.predicate)
        for relation in scene.relations
        if relation.source == "human" and relation.state == "asserted" and relation.subject != relation.object
    ]


def _prediction(pairs: DetectedPairs) -> ImagePrediction:
    """Each pair with its likeliest names, and as many of its likeliest predicates as are ranked."""
    num_pairs = len(pairs.predicate_scores)
    best = np.argsort(-pairs.predicate_scores, axis=1, kind="stable")[:, : CORRECTED.predicates_per_pair]
    subjects = np.repeat(np.arange(num_pairs), best.shape[1])
    return ImagePrediction(
        boxes=np.concatenate([pairs.subject_boxes_xyxy_px, pairs.object_boxes_xyxy_px]),
        labels=np.concatenate([pairs.subject_scores.argmax(1), pairs.object_scores.argmax(1)]),
        box_scores=np.concatenate([pairs.subject_scores.max(1), pairs.object_scores.max(1)]),
        relations=np.stack([subjects, subjects + num_pairs, best.reshape(-1)], axis=1),
        scores=np.take_along_axis(pairs.predicate_scores, best, axis=1).reshape(-1),
    )
