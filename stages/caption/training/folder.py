"""A captioner's folder: what `save_pretrained` writes and the backend `blip` loads."""

from pathlib import Path
from typing import Any

import transformers

from schemas import StorageError


def image_processor(image_size: int) -> Any:
    """The `BlipImageProcessorPil` of a captioner: pictures are squashed to `image_size` pixels a side."""
    return transformers.BlipImageProcessorPil(size={"height": image_size, "width": image_size})


def save_captioner(folder: Path, captioner: Any, tokenizer: Any, processor: Any) -> None:
    """Write weights (safetensors), tokenizer and image processor with their configurations.

    Raises:
        StorageError: if something cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The weights last: a folder that has them is whole.
        tokenizer.save_pretrained(folder)
        processor.save_pretrained(folder)
        captioner.save_pretrained(folder)
    except OSError as error:
        raise StorageError(f"{folder}: the captioner cannot be written: {error}; give another --output") from error
