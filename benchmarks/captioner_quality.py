"""Does the small captioner look? What its captions state, against the truth of held-out procedural scenes.

    python benchmarks/captioner_quality.py [--model builtin] [--count 500]

A caption is read by the parser; a statement is a triplet of class, relation, class ("person rides horse"). It is true
if the scene has two regions of these classes between which the relation holds; its classes are related if any relation
holds between two such regions. Statements about classes that the generator does not draw ("in a park") are left out.
`another picture's` are the same captions, each judged by the next scene: what is right then is right by accident. The
network must not have been trained on the scenes: seed 1,000,002.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tagger_quality import MEASURED_ON, drawn_scenes, run_stage

from schemas import Region, Scene
from schemas.job import BlipCaptions, ParseJob
from schemas.vocabulary import canonical_name
from stages.caption import open_captioner
from stages.parse import open_parser
from stages.tag.candidates import with_candidates

Triplet = tuple[str, str, str]


@dataclass(frozen=True)
class Read:
    """What was read of a scene's captions."""

    num_captions: int
    stated: tuple[Triplet, ...]
    """Each as often as captions state it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin", help="folder of a BLIP, or builtin")
    parser.add_argument("--count", type=int, default=500, help="scenes")
    parser.add_argument("--per-image", type=int, default=5, help="captions of each")
    options = parser.parse_args()

    given = drawn_scenes(options.count, MEASURED_ON)
    truth = [_truth(scene) for scene in given]
    names = sorted({canonical_name(region.name) for scene in given for region in scene.regions})
    print(
        f"{options.count:4} scenes          captions  statements  true of the scene  classes related  relations stated"
    )
    _report("given", _read(given, names), truth)
    for decoding, per_image in (("nucleus", options.per_image), ("beam", 1)):
        job = BlipCaptions(
            backend="blip", model=options.model, per_image=per_image, decoding=decoding, keep_given=False
        )
        read = _read(run_stage(open_captioner(job, seed=0), given), names)
        _report(decoding, read, truth)
        _report("  another picture's", [*read[1:], read[0]], truth)


def _report(name: str, read: Sequence[Read], truth: Sequence[set[Triplet]]) -> None:
    num_captions = sum(one.num_captions for one in read)
    num_stated = sum(len(one.stated) for one in read)
    num_true = sum(triplet in true for one, true in zip(read, truth, strict=True) for triplet in one.stated)
    num_found = sum(len(true.intersection(one.stated)) for one, true in zip(read, truth, strict=True))
    num_related = sum(
        (subject, other) in {(s, o) for s, _, o in true}
        for one, true in zip(read, truth, strict=True)
        for subject, _, other in one.stated
    )
    true_share, related_share = (number / max(1, num_stated) for number in (num_true, num_related))
    print(
        f"{name:20} {num_captions:8}  {num_stated:10}  {true_share:17.1%}  {related_share:15.1%}"
        f"  {num_found / sum(map(len, truth)):16.1%}"
    )


def _truth(scene: Scene) -> set[Triplet]:
    names = {region.id: canonical_name(region.name) for region in scene.regions}
    return {(names[one.subject], one.predicate, names[one.object]) for one in scene.relations}


def _read(captioned: Sequence[Scene], names: Sequence[str]) -> list[Read]:
    parsed = run_stage(open_parser(ParseJob()), captioned)
    return [Read(len(scene.captions), tuple(_stated(scene, names))) for scene in parsed]


def _stated(scene: Scene, names: Sequence[str]) -> list[Triplet]:
    # The tagger finds the class of a phrase among a scene's regions; here all classes stand there.
    every = tuple(Region(number, name, (0, 0, 1, 1)) for number, name in enumerate(names))
    classes = [phrase.regions for phrase in with_candidates(replace(scene, regions=every))]
    return [
        (names[subject], mention.predicate, names[other])
        for mention in scene.mentions
        for subject in classes[mention.subject][:1]
        for other in classes[mention.object][:1]
    ]


if __name__ == "__main__":
    main()
