"""Caption to region pair, against people: how often does a caption's relation land on the pair that a person labelled?

    python benchmarks/assignment.py --data DATA [--json result.json]

DATA holds `relations/captions_vcoco.jsonl.gz` (289 COCO val2017 pictures, five captions each, V-COCO triplets) and what
the prior is fitted on, `relations/hicodet_train.jsonl.gz` and `relations/vcoco_trainval.jsonl.gz`. There are no
pictures and no boxes but those of the triplets, so every person in sight does something: the choice is between people
who act. Ambiguous is a picture with several pairs of the named classes of which people labelled some and not all.
"""

import argparse
import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas import Relation, Scene
from schemas.job import ParseJob, TripletsDataset
from stages.ingest import open_dataset
from stages.parse import open_parser
from stages.tag import Prior, PriorCounts, tag_scene
from stages.tag.candidates import PairScorer

FITTED_ON = ("hicodet_train", "vcoco_trainval")
REPEATS = 20
"""Shuffles of the region ids over which a figure is averaged: ties go to the smaller id, and ids follow the labels."""


class NoPrior:
    """Every pair is as good as any other."""

    def log_prior(self, subject: str, predicate: str, object_: str) -> float:  # noqa: ARG002 - a scorer's signature
        return 0.0

    def log_likelihood_ratio(
        self,
        subject: str,  # noqa: ARG002
        predicate: str,  # noqa: ARG002
        object_: str,  # noqa: ARG002
        bins: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        # Just above the background, so that plural phrases keep their pairs.
        return np.full(len(bins), 1e-9)


class NoGeometry(NoPrior):
    """The class part of a prior alone."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior

    def log_prior(self, subject: str, predicate: str, object_: str) -> float:
        return self.prior.log_prior(subject, predicate, object_)


@dataclass
class Tally:
    """Sums over pictures and shuffles."""

    pair: list[bool] = field(default_factory=list)
    ambiguous: list[bool] = field(default_factory=list)
    stated: list[bool] = field(default_factory=list)
    """Pair and predicate: the caption's predicate is one that people labelled between these classes."""
    exact: int = 0
    verb: int = 0
    on_human_pair: int = 0
    covered: int = 0
    human_pairs: int = 0
    ambiguous_pictures: set[str] = field(default_factory=set)


def score_picture(tally: Tally, truth: Sequence[Relation], scene: Scene) -> None:
    """Compare the tagger's person-object relations of one picture with the labels of people."""
    names = {region.id: region.name for region in scene.regions}
    human = {(r.subject, r.object) for r in truth}
    labelled = {(names[s], names[o]) for s, o in human}
    found = [r for r in scene.relations if (names[r.subject], names[r.object]) in labelled]
    for relation in found:
        classes = (names[relation.subject], names[relation.object])
        pair = (relation.subject, relation.object)
        same = [(s, o) for s in names for o in names if s != o and (names[s], names[o]) == classes]
        right = pair in human
        tally.pair.append(right)
        if len(same) > 1 and not all(p in human for p in same):
            tally.ambiguous.append(right)
            tally.ambiguous_pictures.add(scene.key)
        doing = {(r.subject, r.object) for r in truth if r.predicate == relation.predicate}
        if any((names[s], names[o]) == classes for s, o in doing) and not all(p in doing for p in same):
            tally.stated.append(pair in doing)
        if right:
            tally.on_human_pair += 1
            labels = {r.predicate for r in truth if (r.subject, r.object) == pair}
            tally.exact += relation.predicate in labels
            tally.verb += relation.predicate.split(" ", 1)[0] in {label.split(" ", 1)[0] for label in labels}
    tally.human_pairs += len(human)
    tally.covered += len(human & {(r.subject, r.object) for r in found})


def shuffled(scene: Scene, order: random.Random) -> Scene:
    """The scene with its region ids dealt out anew."""
    ids = [region.id for region in scene.regions]
    new = dict(zip(ids, order.sample(ids, len(ids)), strict=True))
    relations = tuple(replace(r, subject=new[r.subject], object=new[r.object]) for r in scene.relations)
    return replace(scene, regions=tuple(replace(r, id=new[r.id]) for r in scene.regions), relations=relations)


def measure(scenes: Iterable[Scene], scorer: PairScorer) -> Tally:
    """Tag the parsed scenes with their labels hidden, `REPEATS` times with other ids, and compare."""
    tally = Tally()
    order = random.Random(0)
    for scene in scenes:
        for _ in range(REPEATS):
            dealt = shuffled(scene, order)
            score_picture(tally, dealt.relations, tag_scene(replace(dealt, relations=()), scorer))
    return tally


def wilson(share: float, number: float) -> tuple[float, float]:
    """95 % interval of a share seen in `number` independent trials."""
    if not number:
        return 0.0, 1.0
    z = 1.959964
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return middle - half, middle + half


def figure(hits: Sequence[bool]) -> dict[str, Any]:
    """Share, number and Wilson interval of averaged hits; shuffles of one picture are one trial, not twenty."""
    number = len(hits) / REPEATS
    share = sum(hits) / len(hits) if hits else 0.0
    low, high = wilson(share, number)
    return {"share": round(share, 4), "n": round(number, 1), "low": round(low, 4), "high": round(high, 4)}


def summary(tally: Tally) -> dict[str, Any]:
    """The figures of one scorer."""
    return {
        "pair_is_human": figure(tally.pair),
        "pair_is_human_where_ambiguous": figure(tally.ambiguous),
        "pair_does_what_the_caption_says_where_ambiguous": figure(tally.stated),
        "predicate_exact": round(tally.exact / max(tally.on_human_pair, 1), 4),
        "predicate_same_verb": round(tally.verb / max(tally.on_human_pair, 1), 4),
        "human_pairs_covered": round(tally.covered / max(tally.human_pairs, 1), 4),
        "ambiguous_pictures": len(tally.ambiguous_pictures),
    }


def scenes_of(data: Path, name: str) -> list[Scene]:
    """The scenes of one file of triplets."""
    job = TripletsDataset(
        format="triplets", annotations=str(data / f"relations/{name}.jsonl.gz"), name=name, pixels=False
    )
    return [record for record in open_dataset(job, seed=0).records() if isinstance(record, Scene)]


def image_number(scene: Scene) -> str:
    """The COCO image id at the end of a key."""
    digits = "".join(c if c.isdigit() else " " for c in scene.key).split()
    return str(int(digits[-1])) if digits else scene.key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    tests = scenes_of(arguments.data, "captions_vcoco")
    test_ids = {image_number(scene) for scene in tests}
    counts = PriorCounts()
    overlap = 0
    for name in FITTED_ON:
        fitting = scenes_of(arguments.data, name)
        # Only V-COCO's numbers are COCO's; HICO-DET counts its own pictures.
        shared = [name == "vcoco_trainval" and image_number(scene) in test_ids for scene in fitting]
        overlap += sum(shared)
        counts.add_all(scene for scene, skip in zip(fitting, shared, strict=True) if not skip)
    prior = Prior.of(counts, datasets=FITTED_ON)

    parser_stage = open_parser(ParseJob())
    parser_stage.setup()
    parsed = [scene for scene in parser_stage.process(tests) if isinstance(scene, Scene)]
    several = sum(len({r.name for r in scene.regions}) < len(scene.regions) for scene in parsed)
    rows = {
        "no prior": summary(measure(parsed, NoPrior())),
        "no geometry (classes only)": summary(measure(parsed, NoGeometry(prior))),
        "full": summary(measure(parsed, prior)),
    }
    result = {
        "pictures": len(parsed),
        "pictures_with_two_boxes_of_a_class": several,
        "ids_shared_with_vcoco_trainval_left_out": overlap,
        "mentions": sum(len(scene.mentions) for scene in parsed),
        "results": rows,
    }
    print(f"{len(parsed)} pictures, {several} with two boxes of a class, {result['mentions']} mentions in captions")
    print(f"image ids shared with vcoco_trainval, left out of the fit: {overlap}")
    print(f"{'':28}{'pair is human':>24}{'... where ambiguous':>27}{'... and does it':>27}  exact  verb  covered")
    for name, row in rows.items():
        shares = [
            f"{row[key]['share']:.3f} [{row[key]['low']:.2f} {row[key]['high']:.2f}] n={row[key]['n']:.0f}"
            for key in (
                "pair_is_human",
                "pair_is_human_where_ambiguous",
                "pair_does_what_the_caption_says_where_ambiguous",
            )
        ]
        rest = f"{row['predicate_exact']:.3f} {row['predicate_same_verb']:.3f} {row['human_pairs_covered']:.3f}"
        print(f"{name:28}{shares[0]:>24}{shares[1]:>27}{shares[2]:>27}  {rest}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
