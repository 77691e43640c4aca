"""Does the Relation Tagger look? It, blank pictures, and the prior, against the truth of held-out procedural scenes.

    python benchmarks/tagger_quality.py [--model builtin] [--captions given] [--count 500] [--json result.json]

All three read the same captions through the same parser. `blank` is the same network shown a picture of one colour:
what it still knows then are names and boxes. Competing is a relation whose pair of classes the scene has more than
once: "a man rides a horse" where two men and one horse are in sight. There only the picture, or where the boxes lie,
can tell which man it is.

Thresholds are chosen for the best F1 on other scenes (`--tune` of them), for each backend and part by itself. AP ranks
all labels above the tagger's floor of 0.05 and the prior's of 0; the mean is over relations with ten true ones or more.
The network must not have been trained on the scenes: their seeds are 1,000,001 and 1,000,002.
"""

import argparse
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from schemas import Rejected, Scene
from schemas.job import BlipCaptions, GivenCaptions, ParseJob, PriorTagger, RelationTagger, ScenesDataset
from stages.caption import open_captioner
from stages.contract import Stage
from stages.evaluate.label_quality import LabelQuality
from stages.evaluate.label_score import Bootstrap, QualityScore
from stages.ingest import open_dataset
from stages.parse import open_parser
from stages.picture import decode_rgb
from stages.tag import open_tagger

TUNED_ON, MEASURED_ON = 1_000_001, 1_000_002
LEAST = 10
"""True relations that a predicate needs to have a say in the mean."""
_CHUNK = 64


@dataclass(frozen=True)
class Part:
    """Figures of one backend on all relations, or on the competing ones."""

    backend: str
    part: str
    threshold: float
    at_threshold: QualityScore
    ranked: QualityScore

    @property
    def mean_ap(self) -> float:
        """Over relations that are frequent enough."""
        found = [row.ap.value for row in self.ranked.by_predicate if row.num_human >= LEAST]
        return sum(value or 0.0 for value in found) / len(found) if found else 0.0

    def line(self) -> str:
        """For the terminal."""
        row = self.at_threshold.overall
        return (
            f"{self.part:10} {self.backend:10} {self.threshold:9.2f} {_percent(row.precision)} {_percent(row.recall)} "
            f"{_percent(self.ranked.overall.ap)} {100 * self.mean_ap:7.1f}  {row.num_human} true"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "backend": self.backend,
            "part": self.part,
            "threshold": self.threshold,
            "mean_ap": self.mean_ap,
            "at_threshold": self.at_threshold.overall.to_json(),
            "ap": self.ranked.overall.ap.to_json(),
            "ap_by_predicate": {
                row.name: {"ap": row.ap.value, "num_human": row.num_human} for row in self.ranked.by_predicate
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin", help="folder of a Relation Tagger, or builtin")
    parser.add_argument("--captions", default="given", help="given, builtin (the small BLIP), or another BLIP")
    parser.add_argument("--count", type=int, default=500, help="scenes measured")
    parser.add_argument("--tune", type=int, default=200, help="other scenes, on which thresholds are chosen")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    tune, measure = (
        _parsed(options.captions, count, seed)
        for count, seed in ((options.tune, TUNED_ON), (options.count, MEASURED_ON))
    )
    tagger = open_tagger(RelationTagger(backend="relation_tagger", model=options.model))
    prior = open_tagger(PriorTagger())
    parts: list[Part] = []
    for backend, stage, blank in (("prior", prior, False), ("tagger", tagger, False), ("blank", tagger, True)):
        labelled = [
            run_stage(stage, [_blank(scene) for scene in scenes] if blank else scenes) for scenes in (tune, measure)
        ]
        for part in ("all", "competing"):
            tuned, measured = ([_part(scene, part) for scene in scenes] for scenes in labelled)
            threshold = _best_threshold(tuned)
            parts.append(Part(backend, part, threshold, _quality(measured, threshold), _quality(measured, 0.0)))

    print(f"{options.count} scenes, captions: {options.captions}; 95 % intervals over scenes")
    print("part       backend    threshold        precision            recall                AP     mAP")
    for one in sorted(parts, key=lambda one: one.part):
        print(one.line())
    print(_by_relation(parts))
    if options.json:
        options.json.write_text(json.dumps([one.to_json() for one in parts], indent=1) + "\n", encoding="utf-8")


def _parsed(captions: str, count: int, seed: int) -> list[Scene]:
    """Scenes with pixels, captions and mentions."""
    scenes = drawn_scenes(count, seed)
    if captions == "given":
        captioner = open_captioner(GivenCaptions(backend="given"), seed=0)
    else:
        # The dataset's own captions would tell the answers.
        captioner = open_captioner(BlipCaptions(backend="blip", model=captions, keep_given=False), seed=0)
    return run_stage(open_parser(ParseJob()), run_stage(captioner, scenes))


def drawn_scenes(count: int, seed: int) -> list[Scene]:
    """Procedural scenes with their pixels, their captions and their truth."""
    dataset = open_dataset(ScenesDataset(format="scenes", count=count, seed=seed), seed=seed)
    images = dataset.images()
    scenes = [scene for scene in dataset.records() if isinstance(scene, Scene)]
    return [replace(scene, image=replace(scene.image, data=images.read(scene.image.name))) for scene in scenes]


def run_stage(stage: Stage, scenes: Sequence[Scene]) -> list[Scene]:
    """What a stage makes of scenes, none of which it may refuse."""
    stage.setup()
    done: list[Scene] = []
    for start in range(0, len(scenes), _CHUNK):
        for one in stage.process(scenes[start : start + _CHUNK]):
            assert not isinstance(one, Rejected), one
            done.append(one)
    return done


def _blank(scene: Scene) -> Scene:
    assert scene.image.data is not None
    picture = decode_rgb(scene.image.data)
    written = io.BytesIO()
    # Black, white or mean: the network has seen none of them empty; the mean is the least strange.
    Image.new("RGB", picture.size, (124, 116, 104)).save(written, "PNG")
    return replace(scene, image=replace(scene.image, data=written.getvalue()))


def _part(scene: Scene, part: str) -> Scene:
    """The scene with all of its relations, or with those between classes whose pair it has more than once."""
    if part == "all":
        return scene
    names = {region.id: region.name for region in scene.regions}
    number = Counter(names.values())

    def competes(subject: int, object_: int) -> bool:
        one, other = names[subject], names[object_]
        return number[one] * (number[other] - (one == other)) > 1

    return replace(scene, relations=tuple(r for r in scene.relations if competes(r.subject, r.object)))


def _best_threshold(scenes: Sequence[Scene]) -> float:
    """Of 0, 0.02, ..., 0.98, the one with the best F1; of equal ones the least."""
    steps = [step / 50 for step in range(50)]
    human = 0
    scored: list[tuple[float, bool]] = []
    for scene in scenes:
        true = {(r.subject, r.predicate, r.object) for r in scene.relations if r.source == "human"}
        human += len(true)
        if true:
            labels = [r for r in scene.relations if r.source != "human"]
            scored += [(r.score, (r.subject, r.predicate, r.object) in true) for r in labels]
    best, best_f1 = 0.0, -1.0
    for threshold in steps:
        kept = [hit for score, hit in scored if score >= threshold]
        hits = sum(kept)
        f1 = 2 * hits / (len(kept) + human) if human else 0.0
        if f1 > best_f1:
            best, best_f1 = threshold, f1
    return best


def _quality(scenes: Iterable[Scene], threshold: float) -> QualityScore:
    quality = LabelQuality()
    for scene in scenes:
        kept = tuple(r for r in scene.relations if r.source == "human" or r.score >= threshold)
        quality.add(replace(scene, relations=kept))
    return quality.score(Bootstrap())


def _by_relation(parts: Sequence[Part]) -> str:
    """AP of each relation, as a table."""
    columns = [(part.part, part.backend) for part in parts]
    found = {(part.part, part.backend): {row.name: row.ap.value for row in part.ranked.by_predicate} for part in parts}
    frequent = [(row.name, row.num_human) for row in parts[0].ranked.by_predicate if row.num_human >= LEAST]
    lines = ["", f"{'AP by relation':20}" + "".join(f"{f'{part[:4]}:{name}':>13}" for part, name in columns)]
    for name, human in frequent:
        values = [found[column].get(name) for column in columns]
        lines.append(f"{f'{name} ({human})':20}" + "".join(f"{_cell(value):>13}" for value in values))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _percent(estimate: Any) -> str:
    if estimate.value is None:
        return f"{'-':>17}"
    low, high = estimate.interval or (estimate.value, estimate.value)
    return f"{100 * estimate.value:5.1f} [{100 * low:4.1f} {100 * high:4.1f}]"


if __name__ == "__main__":
    main()
