"""From the `dataset` part of a job file to the dataset."""

from typing import assert_never

from schemas import UserError
from schemas.job import (
    CocoDataset,
    DatasetJob,
    HicoDetDataset,
    LvisDataset,
    Objects365Dataset,
    OpenImagesDataset,
    ScenesDataset,
    TripletsDataset,
    VCocoDataset,
    VisualGenomeDataset,
)
from stages.ingest.annotated import AnnotatedDataset, Reader
from stages.ingest.coco import CocoReader
from stages.ingest.dataset import Dataset
from stages.ingest.hicodet import HicoDetReader
from stages.ingest.lvis import lvis_file_name
from stages.ingest.objects365 import objects365_file_name
from stages.ingest.openimages import OpenImagesReader
from stages.ingest.triplets import TripletsReader
from stages.ingest.vcoco import VCocoReader
from stages.ingest.visual_genome import VisualGenomeReader

# Formats whose pictures have unique file names below the folders that their annotations speak of.
_MAY_LIE_FLAT = (LvisDataset, Objects365Dataset, VisualGenomeDataset)


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
            f"pictures tell; remove the line and give dataset.images"
        )
    flat = isinstance(job, _MAY_LIE_FLAT)
    return AnnotatedDataset(reader, name=name, images=job.images, limit=job.limit, flat_images=flat)


def _reader(job: DatasetJob) -> Reader:  # noqa: PLR0911 - one line a format
    match job:
        case CocoDataset():
            return CocoReader(job.annotations, job.captions)
        case LvisDataset():
            return CocoReader(
                job.annotations, job.captions, version="lvis/1", file_name=lvis_file_name, foreign_captions=True
            )
        case Objects365Dataset():
            return CocoReader(job.annotations, job.captions, version="objects365/1", file_name=objects365_file_name)
        case HicoDetDataset():
            return HicoDetReader(job.annotations, job.captions)
        case VCocoDataset():
            return VCocoReader(job.annotations, job.instances, job.captions)
        case OpenImagesDataset():
            return OpenImagesReader(job.annotations, job.relationships, job.classes, job.captions)
        case VisualGenomeDataset():
            return VisualGenomeReader(job.annotations, job.relationships, job.image_data, job.captions)
        case TripletsDataset():
            return TripletsReader(job.annotations, job.captions)
        case ScenesDataset():
            raise AssertionError("scenes have no annotation files")
        case _:
            assert_never(job)
