"""The `dataset` part of the job file: one model per format, chosen by `format`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

DATASET_PATHS = ("annotations", "images", "captions", "instances", "relationships", "classes", "image_data")
"""Keys of `dataset` whose values say where something lies; what it is, the dataset's fingerprint says."""


class JobPart(BaseModel):
    """Base of every part of a job file: unknown keys refused, values immutable, the text below a field its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Dataset(JobPart):
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")
    """First part of every key (`<name>-<image_id>`); the format's name if left out."""
    images: str | None = None
    """Folder of the pictures, any fsspec URL. Needed unless `pixels` is false."""
    captions: str | None = None
    """COCO captions JSON (`annotations: [{image_id, caption}]`), joined on the image id."""
    pixels: bool = True
    """False makes shards without pictures: boxes, captions and relations only."""
    limit: int | None = Field(default=None, ge=1)
    """Take only the first images by sorted key; part of the job's identity."""


class CocoDataset(_Dataset):
    """COCO instances."""

    format: Literal["coco"]
    annotations: str
    """`instances_*.json`, plain or `.gz`."""


class LvisDataset(_Dataset):
    """LVIS: COCO layout, names with underscores and parentheses, pictures named by `coco_url`."""

    format: Literal["lvis"]
    annotations: str
    """`lvis_v1_*.json`, plain or `.gz`."""


class Objects365Dataset(_Dataset):
    """Objects365 v2: COCO layout, pictures in `patch*` folders."""

    format: Literal["objects365"]
    annotations: str
    """`zhiyuan_objv2_*.json`, plain or `.gz`."""


class HicoDetDataset(_Dataset):
    """HICO-DET in the qpic/PPDM layout or the instance layout of fredzzhang/hicodet; told apart by their content."""

    format: Literal["hicodet"]
    annotations: str
    """`trainval_hico.json` / `test_hico.json`, or `instances_*2015.json`."""


class VCocoDataset(_Dataset):
    """V-COCO: the official verb files with the COCO instances they refer to, or the qpic/PPDM layout."""

    format: Literal["vcoco"]
    annotations: str
    """`vcoco_*.json` (official) or `trainval_vcoco.json` (qpic)."""
    instances: str | None = None
    """COCO instances JSON; needed by the official layout, which names boxes by annotation id."""


class OpenImagesDataset(_Dataset):
    """OpenImages: boxes and visual relationships. Boxes are fractions there, made pixels when the picture is read."""

    format: Literal["openimages"]
    annotations: str | None = None
    """Boxes CSV (`*-annotations-bbox.csv`)."""
    relationships: str | None = None
    """Visual relationships CSV (`*-vrd.csv`), kept as human relations."""
    classes: str | None = None
    """`class-descriptions-boxable.csv`: machine id to name. Needed when the CSVs hold machine ids."""


class VisualGenomeDataset(_Dataset):
    """Visual Genome: objects and relationships."""

    format: Literal["visual_genome"]
    annotations: str
    """`objects.json`."""
    relationships: str | None = None
    """`relationships.json`, kept as human relations."""
    image_data: str | None = None
    """`image_data.json`: width and height."""


class TripletsDataset(_Dataset):
    """A JSON object a line: `{image, width, height, triplets: [[subject, box, predicate, object, box]], captions?}`."""

    format: Literal["triplets"]
    annotations: str
    """`.jsonl` or `.jsonl.gz`."""


class ScenesDataset(_Dataset):
    """Procedural pictures of people and things with relations that are true by construction; drawn while labelling."""

    format: Literal["scenes"]
    count: int = Field(default=200, ge=1)
    """Number of pictures."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the pictures; the job's seed if left out."""


DatasetJob = Annotated[
    CocoDataset
    | LvisDataset
    | Objects365Dataset
    | HicoDetDataset
    | VCocoDataset
    | OpenImagesDataset
    | VisualGenomeDataset
    | TripletsDataset
    | ScenesDataset,
    Field(discriminator="format"),
]
