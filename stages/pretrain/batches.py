"""Samples of a stream to a batch for the network. A batch is a function of the seed and of its samples.

Every rank reads the labels of the whole batch, as all share its texts, and the pictures of its own part. What is drawn
for a sample depends on its position alone, so it does not matter who has which part.

Shape letters: B images of one rank, N labelled pairs of an image, G regions of an image that show, O object texts with
"no objects", R relation texts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas import BadInputError
from stages.pretrain.augment import AugmentConfig, View, ViewLabels, apply_to_boxes, draw_view, labels_in_view, render
from stages.pretrain.labels import LabelConfig, LabelledPair, SceneLabels, SourceLabels, scene_labels
from stages.pretrain.mirror import mirrored
from stages.stream import Sample, StreamBatch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stages.alif.matcher import PairTargets
    from stages.alif.unknown_pairs import UnknownPairs

_OF_TEXTS, _OF_VIEW = 0, 1  # what a draw is for, so that no two have the same seed


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a batch consists of. The numbers of texts are the published ones."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    num_objects: int = 333
    """Most object texts, besides "no objects"."""
    num_relations: int = 167
    """Most relation texts."""
    unknown_pairs: bool = True
    """Whether to find a pair that nobody has judged is not wrong; published, it is."""

    def __post_init__(self) -> None:
        for name in ("num_objects", "num_relations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of at least 1")


@dataclass(frozen=True)
class BatchTexts:
    """Texts that every batch is asked about, as in fine-tuning; each kind is sorted."""

    objects: tuple[str, ...]
    """Without "no objects"."""
    relations: tuple[str, ...]


@dataclass(frozen=True)
class PretrainBatch:
    """The part of a batch that one rank learns from."""

    start: int
    """Position of the whole batch's first sample."""
    size: int
    """Samples of the whole batch."""
    keys: tuple[str, ...]
    """Of the B pictures."""
    pixels: "Tensor"
    """(B, 3, H, W) normalised, zero on padding."""
    padding: "Tensor"
    """(B, H, W) bool, true on padding."""
    texts: tuple[str, ...]
    """O object texts, of which the last is "no objects", then R relation texts; the whole batch shares them."""
    num_objects: int
    """O"""
    targets: tuple["PairTargets", ...]
    """For each picture."""
    unknown: tuple["UnknownPairs", ...] | None
    """For each picture; None if every pair is known."""
    num_unreadable: int
    """Pictures of this rank that were left out as they could not be decoded."""
    problem: str | None
    """Why the first of them could not."""

    def to(self, device: "torch.device") -> "PretrainBatch":
        """The same on a device."""

        def moved(tensors: Any) -> Any:
            values = {each.name: getattr(tensors, each.name) for each in fields(tensors)}
            return replace(tensors, **{name: v if v is None else v.to(device) for name, v in values.items()})

        return replace(
            self,
            pixels=self.pixels.to(device),
            padding=self.padding.to(device),
            targets=tuple(moved(target) for target in self.targets),
            unknown=None if self.unknown is None else tuple(moved(each) for each in self.unknown),
        )

    def __getstate__(self) -> dict[str, Any]:
        """To another process labels go by value: shared, as tensors are, each of these many small ones would take an
        open file, of which a process may often have no more than 1,024."""
        return {
            **self.__dict__,
            "targets": tuple(map(_as_arrays, self.targets)),
            "unknown": None if self.unknown is None else tuple(map(_as_arrays, self.unknown)),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        from stages.alif.matcher import PairTargets
        from stages.alif.unknown_pairs import UnknownPairs

        targets, unknown = state["targets"], state["unknown"]
        self.__dict__.update(
            state,
            targets=tuple(PairTargets(**_as_tensors(each)) for each in targets),
            unknown=None if unknown is None else tuple(UnknownPairs(**_as_tensors(each)) for each in unknown),
        )


def _as_arrays(tensors: Any) -> dict[str, Any]:
    """A dataclass of tensors on the CPU, some of which may be None, as arrays by name."""
    values = {each.name: getattr(tensors, each.name) for each in fields(tensors)}
    return {name: None if value is None else value.numpy() for name, value in values.items()}


def _as_tensors(arrays: dict[str, Any]) -> dict[str, Any]:
    import torch

    return {name: None if value is None else torch.from_numpy(value) for name, value in arrays.items()}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A scene as it is shown this time; texts are mirrored if the picture is."""

    sample: Sample
    labels: SceneLabels
    view: View
    regions: ViewLabels
    names: tuple[str, ...]
    """Of the regions that stay."""
    pairs: tuple[LabelledPair, ...]
    """That stay, with the regions' places among those that stay."""
    mentioned: frozenset[str]


class BatchMaker:
    """Makes the batches of one rank; what a `StreamLoader` calls in its workers, with `whole_batch`."""

    def __init__(
        self, config: BatchConfig, *, seed: int, multiple_of: int, sources: Sequence[SourceLabels],
        texts: BatchTexts | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            config: what a batch consists of.
            seed: of views and texts.
            multiple_of: what the sides of a batch are rounded up to; see `AlifConfig.coarsest_stride`.
            sources: what the relations of each of the stream's sources are worth.
            texts: what every batch is asked about, besides what only its own pictures need; None draws the texts of
                each batch.
        """
        self._config = config
        self._seed = seed
        self._multiple_of = multiple_of
        self._sources = sources
        self._texts = texts

    def __call__(self, batch: StreamBatch) -> PretrainBatch:
        """The batch of some samples.

        Raises:
            BadInputError: if a scene is of another schema version.
        """
        from stages.alif.label_sequence import NO_OBJECTS

        scenes = {sample.position: self._shown(sample) for sample in batch.all}
        objects, relations = self._asked(batch, list(scenes.values()))
        kept, images, problem = [], [], None
        for sample in batch.own:
            try:
                images.append(self._pixels(sample, scenes[sample.position].view))
                kept.append(scenes[sample.position])
            except BadInputError as error:
                problem = problem or str(error)
        pixels, padding = self._padded(images)
        unknown = tuple(_unknown_pairs(scene, relations) for scene in kept) if self._config.unknown_pairs else None
        return PretrainBatch(
            start=batch.start,
            size=batch.size,
            keys=tuple(scene.sample.key for scene in kept),
            pixels=pixels,
            padding=padding,
            texts=(*objects, NO_OBJECTS, *relations),
            num_objects=len(objects) + 1,
            targets=tuple(_pair_targets(scene, objects, relations) for scene in kept),
            unknown=unknown,
            num_unreadable=len(batch.own) - len(kept),
            problem=problem,
        )

    def _asked(self, batch: StreamBatch, scenes: Sequence[_Shown]) -> tuple[list[str], list[str]]:
        """Object texts, without "no objects", and relation texts; each text once, sorted."""
        from stages.alif.label_sequence import TextSampler

        objects = {name for scene in scenes for name in scene.names}
        relations = {text for scene in scenes for text in _needed(scene)}
        if self._texts is not None:
            return sorted(objects.union(self._texts.objects)), sorted(relations.union(self._texts.relations))
        rng = np.random.default_rng([self._seed, _OF_TEXTS, batch.start])
        return (
            TextSampler(batch.texts.names, self._config.num_objects, always_full=True).draw(objects, rng),
            TextSampler(batch.texts.predicates, self._config.num_relations, always_full=True).draw(relations, rng),
        )

    def _shown(self, sample: Sample) -> _Shown:
        labels = scene_labels(sample.scene(), self._config.labels, self._sources[sample.source])
        rng = np.random.default_rng([self._seed, _OF_VIEW, sample.position])
        augment, boxes = self._config.augment, labels.boxes_xyxy_px
        view = draw_view(augment, labels.width, labels.height, boxes, labels.pair_places, rng)
        regions = labels_in_view(view, boxes, labels.pair_places, min_visible=augment.min_visible)

        def said(text: str) -> str:
            return mirrored(text) if view.flipped else text

        pairs = tuple(
            LabelledPair(
                subject=int(subject),
                object=int(object_),
                holds={said(text): value for text, value in labels.pairs[place].holds.items()},
                denied=frozenset(said(text) for text in labels.pairs[place].denied),
            )
            for place, (subject, object_) in zip(regions.kept.tolist(), regions.pairs.tolist(), strict=True)
        )
        names = tuple(said(labels.names[place]) for place in regions.regions.tolist())
        return _Shown(sample, labels, view, regions, names, pairs, frozenset(map(said, labels.mentioned)))

    def _pixels(self, sample: Sample, view: View) -> "Tensor":
        from stages.alif.images import normalised

        image = sample.image
        if image is None:
            raise BadInputError(
                f"{sample.key}: its output has no pictures; label with `dataset.pixels: true` to train on them"
            )
        try:
            return normalised(render(view, bytes(image)))
        except (MemoryError, BadInputError):
            raise
        except Exception as error:  # decoders raise whatever they stumble over
            raise BadInputError(f"{sample.key}: {type(error).__name__}: {error}") from error

    def _padded(self, images: Sequence["Tensor"]) -> tuple["Tensor", "Tensor"]:
        """Pixels and padding of a batch; of no pictures, too."""
        import torch

        from stages.alif.images import batch_images

        if images:
            return batch_images(images, multiple_of=self._multiple_of)
        side = self._multiple_of
        return torch.zeros(0, 3, side, side), torch.zeros(0, side, side, dtype=torch.bool)


def _needed(scene: _Shown) -> Iterable[str]:
    """Relation texts that a picture speaks of."""
    yield from scene.mentioned
    for pair in scene.pairs:
        yield from pair.denied


def _pair_targets(scene: _Shown, objects: Sequence[str], relations: Sequence[str]) -> "PairTargets":
    """What is to be answered about a picture."""
    import torch

    from stages.alif.boxes import boxes_xyxy_to_cxcywh
    from stages.alif.matcher import PairTargets

    places = {text: place for place, text in enumerate(relations)}
    holds = torch.zeros(len(scene.pairs), len(relations))
    unknown = torch.zeros(len(scene.pairs), len(relations), dtype=torch.bool)
    for row, pair in enumerate(scene.pairs):
        if not scene.labels.complete:
            unknown[row, [places[text] for text in scene.mentioned]] = True
            unknown[row, [places[text] for text in pair.denied]] = False
        for text, value in pair.holds.items():
            holds[row, places[text]] = value
            unknown[row, places[text]] = False
    object_places = {text: place for place, text in enumerate(objects)}
    classes = torch.tensor([object_places[name] for name in scene.names], dtype=torch.int64)
    boxes = boxes_xyxy_to_cxcywh(torch.from_numpy(scene.regions.boxes_xyxy)).float()
    subjects, others = torch.from_numpy(scene.regions.pairs).reshape(-1, 2).unbind(-1)
    return PairTargets(classes[subjects], classes[others], holds, boxes[subjects], boxes[others], unknown)


def _unknown_pairs(scene: _Shown, relations: Sequence[str]) -> "UnknownPairs":
    """Regions of which something shows, and the pairs among them that nobody has judged, or that show too little."""
    import torch

    from stages.alif.boxes import boxes_xyxy_to_cxcywh
    from stages.alif.unknown_pairs import UnknownPairs

    fractions, visible = apply_to_boxes(scene.view, scene.labels.boxes_xyxy_px)
    shows = np.flatnonzero(visible > 0)
    all_unknown = not scene.labels.complete
    unknown = np.full((len(visible), len(visible)), fill_value=all_unknown)
    np.fill_diagonal(unknown, val=False)
    for pair in scene.labels.judged:
        unknown[pair] = False
    for pair in scene.labels.left_out:
        unknown[pair] = True
    for place in scene.regions.doubtful.tolist():
        unknown[scene.labels.pairs[place].subject, scene.labels.pairs[place].object] = True
    boxes = boxes_xyxy_to_cxcywh(torch.from_numpy(fractions[shows])).float()
    may_hold = torch.tensor([text in scene.mentioned for text in relations], dtype=torch.bool)
    return UnknownPairs(boxes, torch.from_numpy(unknown[np.ix_(shows, shows)]), may_hold)
