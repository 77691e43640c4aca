"""RLIPv2's claims in miniature, on procedural pictures: trainings side by side, measured on what is true of other ones.

    python benchmarks/claims/run.py fusion|pseudo|targets [--steps 4000] [--seeds 0] [--captions 40]
                                    [--folder out/claims] [--at-once 3]

fusion: the same network wired as ALIF and as a late fusion, with equal weights in number, on human labels. After how
    many steps has ALIF the mean average precision that the late fusion ends with? (RLIPv2, section 3.2: it converges in
    a fraction of the time.)
pseudo: human labels of a tenth of the pictures; the same, and pseudo-labels of our own pipeline for the rest; human
    labels of all. How much of the gap do pseudo-labels close? (RLIPv2, section 4: pseudo-labels scale.)
targets: a tenth of human labels and pseudo-labels for the rest, these learned softly in three states, as Relmill does,
    and as hard as RLIPv2's code does. Where the same folder has `pseudo`'s training of the first kind, it is used.

Outputs are labelled by `relmill label`, trained on by `relmill train`, with the jobs that lie in the folder afterwards;
both go on where they stood if this is stopped and called again. Each training has one thread. Pseudo-labels are those
of the demo: the shipped BLIP's captions, the shipped tagger; but of forty captions a picture, as ten leave most
relations unsaid (`relmill evaluate labels` tells how many), and with the probability that people's labels of the tenth
give to a score (`relmill calibrate`).

What is compared is the mean average precision of the relations, boxes found and named by the network (Open Images'
evaluator, corrected conventions), of the weights' moving average. A training measures it on 200 other pictures at every
tenth of its steps, in `fusion` every twentieth, and keeps the best state. `fusion` compares these figures. As what is
best of ten on 200 pictures is in part luck, the others measure what was kept on 2,000 pictures that nothing was chosen
by. Chance is 0.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

HUMAN = {"learn": "human", "complete": True}
PSEUDO = {"learn": "pseudo", "complete": False}
TENTH = {"output": "tenth", **HUMAN}
THE_TENTH = {"count": 100, "seed": 51}
THE_REST = {"count": 900, "seed": 52}


@dataclass(frozen=True)
class Plan:
    """What the command line asks for."""

    folder: Path
    steps: int
    seeds: Sequence[int]
    captions: int
    """Of each picture that the pipeline labels."""
    at_once: int


def label(folder: Path, name: str, *, count: int, seed: int, captions: int = 0, calibration: str | None = None) -> None:
    """An output of drawn pictures with human relations; with pseudo-labels, too, if there are `captions` of each."""
    job = {"dataset": {"format": "scenes", "count": count, "seed": seed}, "output": name, "unit_size": 32}
    if captions:
        job |= {
            "caption": {"backend": "blip", "model": "builtin", "per_image": captions, "keep_given": False},
            "parse": {"model": "builtin"},
            "tag": {"backend": "relation_tagger", "model": "builtin", "min_score": 0.05, "calibration": calibration},
        }
    run_job(folder, name, "label", job, "--quiet")


def run_job(folder: Path, name: str, command: str, job: dict, *options: str) -> None:
    """Run a command on a job in the folder of the job."""
    path = folder / f"{name}.{command}.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False), encoding="utf-8")
    relmill(folder, name, command, str(path), *options)


def relmill(folder: Path, name: str, command: str, *options: str) -> None:
    """Run a command on one thread; what it says goes to a file named after both."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-m", "pipeline", command, *options]
    with (folder / f"{name}.{command}.log").open("a", encoding="utf-8") as log:
        subprocess.run(arguments, env=environment, stdout=log, stderr=log, check=True)


def training(sources: Sequence[dict], *, steps: int, seed: int, **choices: object) -> dict:
    """A job of `relmill train` for the small network."""
    return {
        "sources": list(sources),
        "validation": {"output": "validation", "limit": 200},
        "steps": steps,
        "seed": seed,
        "batch_size": 8,
        "num_pairs": 24,
        "short_side": 128,
        "average": 0.999,
        "save_every": max(1, steps // 10),
        "report_every": max(1, steps // 40),
        **choices,
    }


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    """Steps and mean average precision of every measured state of a training."""
    lines = (folder / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(line["step"], line["mAP"]) for line in map(json.loads, lines) if "mAP" in line]


def train_all(plan: Plan, jobs: dict[str, dict]) -> None:
    """Run the trainings that are not finished, some at once."""
    with ThreadPoolExecutor(plan.at_once) as pool:
        list(pool.map(lambda name: run_job(plan.folder, name, "train", jobs[name] | {"output": name}), jobs))


def fusion(plan: Plan) -> None:
    label(plan.folder, "people", count=4000, seed=41)
    jobs = {
        f"{place}-{seed}": training(
            [{"output": "people", **HUMAN}],
            steps=plan.steps,
            seed=seed,
            fusion=place,
            save_every=max(1, plan.steps // 20),
        )
        for seed in plan.seeds
        for place in ("between", "after")
    }
    train_all(plan, jobs)
    print(f"{'seed':>4}  {'late fusion ends at':>20}  {'ALIF ends at':>13}  {'ALIF is there after':>20}  of its steps")
    for seed in plan.seeds:
        late, alif = curve(plan.folder, f"after-{seed}"), curve(plan.folder, f"between-{seed}")
        goal = late[-1][1]
        reached = next((step for step, value in alif if value >= goal), None)
        told = ("never", "-") if reached is None else (f"{reached} steps", f"{reached / late[-1][0]:.2f}")
        print(f"{seed:>4}  {goal:>20.4f}  {alif[-1][1]:>13.4f}  {told[0]:>20}  {told[1]}")


def tenth_and_labelled_rest(plan: Plan) -> list[dict]:
    """Label a tenth by people and the rest by our own pipeline; the mixture of both.

    What a score of the pipeline means is learned from that tenth. A thousand pictures in all: so few that in an hour a
    network sees a tenth of them often enough to learn no more from them.
    """
    label(plan.folder, "tenth", **THE_TENTH)
    judged, calibration = f"judged-{plan.captions}", f"calibration-{plan.captions}.json"
    label(plan.folder, judged, **THE_TENTH, captions=plan.captions)
    relmill(plan.folder, judged, "calibrate", str(plan.folder / judged), "--output", str(plan.folder / calibration))
    labelled = f"labelled-{plan.captions}"
    label(plan.folder, labelled, **THE_REST, captions=plan.captions, calibration=calibration)
    return [{**TENTH, "weight": 0.3}, {"output": labelled, **PSEUDO, "weight": 0.7}]


def pseudo(plan: Plan) -> None:
    mixture = tenth_and_labelled_rest(plan)
    label(plan.folder, "rest", **THE_REST)
    ways = {
        "tenth": [TENTH],
        f"pseudo-{plan.captions}": mixture,
        "all": [{**TENTH, "weight": 0.1}, {"output": "rest", **HUMAN, "weight": 0.9}],
    }
    jobs = {
        f"{name}-{seed}": training(sources, steps=plan.steps, seed=seed)
        for seed in plan.seeds
        for name, sources in ways.items()
    }
    train_all(plan, jobs)
    precisions = measured(plan, jobs)
    print(f"{'seed':>4}  {'a tenth':>8}  {'with pseudo-labels':>18}  {'all':>8}  share of the gap that is closed")
    for seed in plan.seeds:
        low, middle, high = (precisions[f"{name}-{seed}"] for name in ways)
        share = f"{(middle - low) / (high - low):.2f}" if high > low else "no gap"
        print(f"{seed:>4}  {low:>8.4f}  {middle:>18.4f}  {high:>8.4f}  {share}")


def targets(plan: Plan) -> None:
    mixture = tenth_and_labelled_rest(plan)
    hard = {"target": "hard", "threshold": 0.2, "absent": "negative", "kept": "first", "unknown_pairs": False}
    ways = {f"pseudo-{plan.captions}": {}, f"hard-{plan.captions}": {"labels": hard}}
    jobs = {
        f"{name}-{seed}": training(mixture, steps=plan.steps, seed=seed, **choices)
        for seed in plan.seeds
        for name, choices in ways.items()
    }
    train_all(plan, jobs)
    precisions = measured(plan, jobs)
    print(f"{'seed':>4}  {'soft, three states':>18}  {'hard, as published':>18}")
    for seed in plan.seeds:
        print(f"{seed:>4}  " + "  ".join(f"{precisions[f'{name}-{seed}']:>18.4f}" for name in ways))


def measured(plan: Plan, names: Iterable[str]) -> dict[str, float]:
    """The mean average precision of the networks that trainings kept, on pictures that none was chosen by."""
    label(plan.folder, "test", count=2000, seed=98)
    with ThreadPoolExecutor(plan.at_once) as pool:
        return dict(pool.map(lambda name: (name, measured_on_test(plan.folder, name)), names))


def measured_on_test(folder: Path, name: str) -> float:
    """Of one network; what is in the folder already is not asked again."""
    test, predictions, figures = str(folder / "test"), folder / f"{name}.jsonl", folder / f"{name}.figures.json"
    if not figures.exists():
        relmill(folder, name, "predict", str(folder / name), "--dataset", test, "--output", str(predictions))
        told = ["--ground-truth", test, "--classes", test, "--predictions", str(predictions), "--json", str(figures)]
        relmill(folder, name, "evaluate", "openimages", *told, "--preset", "corrected")
    return json.loads(figures.read_text(encoding="utf-8"))["results"]["corrected"]["figures"]["mAP_rel"]


CLAIMS = {"fusion": fusion, "pseudo": pseudo, "targets": targets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", choices=CLAIMS)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--captions", type=int, default=40, help="of each picture that the pipeline labels")
    parser.add_argument("--folder", type=Path, default=Path("out/claims"))
    parser.add_argument("--at-once", type=int, default=3, help="trainings at the same time")
    chosen = vars(parser.parse_args())
    claim = CLAIMS[chosen.pop("claim")]
    plan = Plan(**chosen)
    plan.folder.mkdir(parents=True, exist_ok=True)
    label(plan.folder, "validation", count=200, seed=99)
    claim(plan)


if __name__ == "__main__":
    main()
