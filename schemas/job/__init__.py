"""The job file."""

from schemas.job.dataset import (
    DATASET_PATHS,
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
from schemas.job.job import Job, PoolJob, RuntimeJob, StageName
from schemas.job.load import build_job, load_job, resolve_path
from schemas.job.stages import (
    BlipCaptions,
    CaptionJob,
    GivenCaptions,
    ParseJob,
    PriorTagger,
    RelationTagger,
    ScreenJob,
    TagJob,
)

__all__ = [
    "DATASET_PATHS",
    "BlipCaptions",
    "CaptionJob",
    "CocoDataset",
    "DatasetJob",
    "GivenCaptions",
    "HicoDetDataset",
    "Job",
    "LvisDataset",
    "Objects365Dataset",
    "OpenImagesDataset",
    "ParseJob",
    "PoolJob",
    "PriorTagger",
    "RelationTagger",
    "RuntimeJob",
    "ScenesDataset",
    "ScreenJob",
    "StageName",
    "TagJob",
    "TripletsDataset",
    "VCocoDataset",
    "VisualGenomeDataset",
    "build_job",
    "load_job",
    "resolve_path",
]
