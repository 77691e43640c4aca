"""The stages of a job, in the order of the data."""

from schemas.job import Job
from stages.caption import open_captioner
from stages.contract import Stage
from stages.ingest import Dataset
from stages.parse import open_parser
from stages.screen import Screen
from stages.tag import open_tagger


def build_stages(job: Job, dataset: Dataset) -> list[Stage]:
    """Construct the stages; nothing is loaded until a worker sets them up.

    Raises:
        UserError: if a setting names a model or file that is not there.
    """
    images = dataset.images() if job.dataset.pixels else None
    return [
        Screen(images, job.screen, boxes_are_fractions=dataset.boxes_are_fractions),
        open_captioner(job.caption, seed=job.seed),
        open_parser(job.parse),
        open_tagger(job.tag),
    ]
