"""Fitting a prior on datasets and writing it."""

import json
from pathlib import Path

import pytest

from pipeline.fit_prior import fit_prior
from schemas import BadInputError
from schemas.job import ScenesDataset, TripletsDataset
from stages.tag import load_prior


def triplets(folder: Path, *, relation: str = "ride", images: int = 3) -> TripletsDataset:
    path = folder / f"{relation}.jsonl"
    person, horse = [100, 50, 160, 200], [60, 120, 220, 300]
    lines = [
        {"image": f"{i}.jpg", "width": 640, "height": 480, "triplets": [["person", person, relation, "horse", horse]]}
        for i in range(images)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return TripletsDataset(format="triplets", annotations=str(path), name=relation, pixels=False)


def test_file_is_what_the_summary_says(tmp_path: Path) -> None:
    output = tmp_path / "made" / "prior.json"
    summary = fit_prior([triplets(tmp_path), triplets(tmp_path, relation="hold")], output, seed=0)
    prior = load_prior(str(output))
    assert (summary.sha256, summary.num_bytes) == (prior.sha256, output.stat().st_size)
    assert (summary.num_relations, summary.num_predicates, summary.num_scenes) == (6, 2, 6)
    assert prior.predicates == ("hold", "ride")
    assert prior.data["datasets"] == ["ride", "hold"]
    assert str(output) in str(summary)
    assert sorted(path.name for path in output.parent.iterdir()) == ["prior.json"]


def test_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    datasets = [triplets(tmp_path), ScenesDataset(format="scenes", count=3)]
    first, second, other = (tmp_path / f"{i}.json" for i in range(3))
    fit_prior(datasets, first, seed=5)
    fit_prior(datasets, second, seed=5)
    fit_prior(datasets, other, seed=6)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_dataset_without_human_relations_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"image": "1.jpg", "width": 640, "height": 480, "triplets": []}\n')
    job = TripletsDataset(format="triplets", annotations=str(empty), pixels=False)
    with pytest.raises(BadInputError, match="no human relations in triplets"):
        fit_prior([job], tmp_path / "prior.json", seed=0)
    assert not (tmp_path / "prior.json").exists()
