"""The network that a training starts from: a small one with random weights, or one that was trained before."""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import BadInputError

if TYPE_CHECKING:
    from stages.alif.config import AlifConfig
    from stages.alif.model import AlifModel
    from stages.alif.text_encoder import Tokenize

TINY = "tiny"
"""The name of the small network, trained from nothing."""


@dataclass(frozen=True)
class NetworkStart:
    """A network before the training."""

    config: "AlifConfig"
    model: "AlifModel"
    """With start values."""
    tokenizer: str
    """Its name on the hub, or `tokenizer.json`."""
    tokenizer_json: str | None
    """The content of `tokenizer.json`."""

    def tokenize(self) -> "Tokenize":
        """The tokenizer, of which there may be no file yet."""
        from stages.alif.checkpoint import TOKENIZER_FILE, open_tokenizer

        with tempfile.TemporaryDirectory() as folder:
            if self.tokenizer_json is not None:
                (Path(folder) / TOKENIZER_FILE).write_text(self.tokenizer_json, encoding="utf-8")
            return open_tokenizer(Path(folder), self.tokenizer)


def with_first_pairs(start: NetworkStart, num_pairs: int) -> NetworkStart:
    """The network as one that looks for fewer pairs; the queries of the others are forgotten.

    RLIPv2 fine-tunes on HICO-DET so, with 64 of 100 pairs.

    Raises:
        BadInputError: if it does not look for so many.
    """
    if num_pairs > start.config.num_pairs:
        raise BadInputError(
            f"num_pairs is {num_pairs}, but the network looks for {start.config.num_pairs}; give at most so many"
        )
    start.model.decoder.queries.keep_first(num_pairs)
    return replace(start, config=replace(start.config, num_pairs=num_pairs))


def random_start(config: "AlifConfig", tokenizer_json: str, *, seed: int) -> NetworkStart:
    """A network with random weights, the same for the same seed."""
    import torch

    from stages.alif.build import build_model
    from stages.alif.checkpoint import TOKENIZER_FILE

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NetworkStart(config, build_model(config), TOKENIZER_FILE, tokenizer_json)


def trained_start(folder: Path) -> NetworkStart:
    """The network in a folder.

    Raises:
        BadInputError: if it is none.
        UserError: if its tokenizer cannot be had.
    """
    import torch

    from stages.alif.checkpoint import TOKENIZER_FILE, load_checkpoint

    with torch.random.fork_rng(devices=[]):  # a network is made of random weights first
        checkpoint = load_checkpoint(folder)
    name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["tokenizer"]
    content = (folder / TOKENIZER_FILE).read_text(encoding="utf-8") if name == TOKENIZER_FILE else None
    return NetworkStart(checkpoint.config, checkpoint.model, name, content)


def check_lengths(texts: Iterable[str], tokenize: "Tokenize", max_tokens: int) -> None:
    """No text may be longer than the text encoder can take; better now than in the thousandth step.

    Raises:
        BadInputError: naming the first that is.
    """
    from stages.alif.text_encoder import check_num_tokens

    for text in texts:
        check_num_tokens([text], tokenize([text])[1], max_tokens)
