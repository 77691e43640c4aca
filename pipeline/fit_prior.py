"""Fitting a prior: what `relmill fit-prior` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.local_files import replace_bytes
from schemas import BadInputError, Scene, StorageError
from schemas.job import DatasetJob
from stages.ingest import open_dataset
from stages.tag import Prior, PriorCounts


@dataclass(frozen=True, slots=True)
class PriorSummary:
    """What was fitted, for the terminal and for a model card."""

    output: Path
    sha256: str
    """Of the file, and so the prior's identity."""
    num_bytes: int
    num_scenes: int
    """Scenes with human relations."""
    num_relations: int
    num_background_pairs: int
    num_predicates: int
    num_rejected: int
    """Records that the datasets' readers refused."""

    def __str__(self) -> str:
        return (
            f"{self.output}: {self.num_bytes} bytes, sha256 {self.sha256}\n"
            f"{self.num_relations} relations with {self.num_predicates} predicates and {self.num_background_pairs} "
            f"unrelated pairs, in {self.num_scenes} pictures; {self.num_rejected} records refused"
        )


def fit_prior(datasets: Sequence[DatasetJob], output: Path, *, seed: int) -> PriorSummary:
    """Count the human relations of some datasets and write the prior to `output`, over an old file if there is one.

    Equal datasets in any order give equal bytes, but for the order of their names in the file.

    Args:
        datasets: the `dataset` parts of job files, their paths resolved.
        seed: of procedural pictures, where a dataset does not give its own.

    Raises:
        UserError: as the datasets raise it.
        BadInputError: if there is no human relation in any of them.
        StorageError: if the file cannot be written.
    """
    counts = PriorCounts()
    names = []
    num_rejected = 0
    for job in datasets:
        dataset = open_dataset(job, seed=seed)
        names.append(dataset.name)
        for record in dataset.records():
            if isinstance(record, Scene):
                counts.add(record)
            else:
                num_rejected += 1
    if not counts.num_relations:
        raise BadInputError(
            f"no human relations in {', '.join(names) or 'no dataset'}; a prior is counted from them. Give a dataset "
            f"with some: hicodet, vcoco, triplets, scenes, or openimages or visual_genome with their relationships"
        )
    prior = Prior.of(counts, datasets=names)
    text = prior.to_json()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(output, text)
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error}; give another --output") from error
    return PriorSummary(
        output=output,
        sha256=prior.sha256,
        num_bytes=len(text),
        num_scenes=counts.num_scenes,
        num_relations=counts.num_relations,
        num_background_pairs=prior.data["num_background_pairs"],
        num_predicates=len(prior.predicates),
        num_rejected=num_rejected,
    )
