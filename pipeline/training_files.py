"""What the training commands have in common: the pictures that they read, and the folder that they write."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from pipeline.local_files import replace_bytes
from schemas import BadInputError, StorageError, TransientError
from stages.ingest.dataset import Dataset
from stages.picture import decode_rgb

DETAILS_FILE, STATE_FOLDER, SCRATCH_FOLDER = "training.json", "state", ".ray"
"""In the output: all settings; and, while it lasts, the states, and what Ray Train writes."""

WEIGHTS_FILE = "model.safetensors"
"""In the output of a finished training."""


class TrainingPicture(Protocol):
    """Where a picture of one of several datasets is found."""

    @property
    def key(self) -> str:
        """Of its scene."""

    @property
    def source(self) -> int:
        """Which dataset."""

    @property
    def image_name(self) -> str:
        """The dataset's name for the pixels."""


def picture_reader(opened: Sequence[Dataset]) -> Callable[[TrainingPicture], Image.Image]:
    """What reads pictures of several datasets, from any thread: RGB, or a BadInputError that says why not."""
    sources = [dataset.images() for dataset in opened]

    def read(picture: TrainingPicture) -> Image.Image:
        try:
            return decode_rgb(sources[picture.source].read(picture.image_name))
        except (MemoryError, TransientError):
            raise
        except Exception as error:  # decoders raise whatever they stumble over
            raise BadInputError(f"{picture.key}: {type(error).__name__}: {error}") from error

    return read


def check_training_output(output: Path, *, resume: bool) -> None:
    """Refuse an output that a training would spoil.

    Raises:
        BadInputError: if it is a file, has files of something else, or a finished training's.
    """
    if not resume and output.is_dir() and any(output.iterdir()):
        raise BadInputError(f"{output}: has files already; resume its training, give another --output, or remove it")
    if output.is_file():
        raise BadInputError(f"{output}: is a file; give a folder")
    if resume and (output / WEIGHTS_FILE).is_file():
        raise BadInputError(f"{output}: its training is finished; give another --output to train anew")


def write_training_file(path: Path, text: str) -> None:
    """Write a file of the output, whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, text.encode())
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}; give another --output") from error
