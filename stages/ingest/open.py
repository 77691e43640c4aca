"""From the `dataset` part of a job file to the dataset."""

from schemas import UserError
from schemas.job import CocoDataset, DatasetJob, ScenesDataset
from stages.ingest.annotated import AnnotatedDataset, Reader
from stages.ingest.coco import CocoReader
from stages.ingest.dataset import Dataset


def open_dataset(job: DatasetJob, *, seed: int) -> Dataset:
    """The dataset that a job describes. No file is opened yet.

    Args:
        job: with its paths resolved, as `load_job` returns it.
        seed: of procedural pictures, where the dataset does not give its own.

    Raises:
        UserError: if settings of the dataset do not fit together.
    """
    name = job.name or job.format
    if isinstance(job, ScenesDataset):
        from stages.ingest.scenes import open_scenes

        return open_scenes(count=job.count, seed=seed if job.seed is None else job.seed, name=name, limit=job.limit)
    if job.pixels and job.images is None:
        raise UserError("dataset.images: missing; give the folder of the pictures, or set dataset.pixels to false")
    reader = _reader(job)
    if reader.boxes_are_fractions and not job.pixels:
        raise UserError(
            f"dataset.pixels: is false, but {job.format} gives boxes as fractions of pictures whose size only the "
            f"pictures tell; remove the line"
        )
    return AnnotatedDataset(reader, name=name, images=job.images, limit=job.limit)


def _reader(job: DatasetJob) -> Reader:
    if isinstance(job, CocoDataset):
        return CocoReader(job.annotations, job.captions)
    raise AssertionError(job)
