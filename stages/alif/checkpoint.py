"""A network on disk: `config.json` beside `model.safetensors`, and where its texts are cut into tokens.

    {"schema": "relmill.alif/1", "tokenizer": "roberta-base", "network": {...}}

`tokenizer` is a name on the hub, or `tokenizer.json` for the file of that name in the folder. Weights are safetensors
and nothing else, because loading other files can run code.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from schemas import BadInputError, StorageError, UserError
from stages.alif.build import build_model
from stages.alif.config import AlifConfig
from stages.alif.model import AlifModel
from stages.alif.text_encoder import Tokenize

SCHEMA = "relmill.alif/1"
TOKENIZER_FILE = "tokenizer.json"

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_LISTED = 8


@dataclass(frozen=True)
class Checkpoint:
    """A network that was loaded, in evaluation mode."""

    config: AlifConfig
    model: AlifModel
    tokenize: Tokenize
    unknown_token: int | None = None
    """What the tokenizer makes of a word that it does not know; None if it spells such words."""


class TextTokenizer:
    """A `Tokenize` made of a tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask (N, T), padded to the longest."""
        encoded = self._tokenizer(list(texts), padding=True, return_tensors="pt")
        return encoded["input_ids"], encoded["attention_mask"]

    @property
    def unknown_token(self) -> int | None:
        """See `Checkpoint`."""
        token: int | None = self._tokenizer.unk_token_id
        return token


def save_checkpoint(folder: Path, config: AlifConfig, state: Mapping[str, Tensor], *, tokenizer: str) -> None:
    """Write a network; equal weights give equal bytes. The folder is made if need be, old files are replaced.

    Args:
        tokenizer: a name on the hub, or `tokenizer.json`, which the caller puts into the folder.

    Raises:
        StorageError: if it cannot be written.
    """
    document = {"schema": SCHEMA, "tokenizer": tokenizer, "network": config.to_json()}
    partial = folder / f".{_WEIGHTS}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # safetensors refuses tensors that share memory; a copy of each is what is meant.
        save_file({name: state[name].detach().contiguous().clone() for name in sorted(state)}, partial)
        (folder / _CONFIG).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        partial.replace(folder / _WEIGHTS)  # last: where weights are, the network is whole
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error}; give another folder") from error
    finally:
        partial.unlink(missing_ok=True)


def checkpoint_config(folder: Path) -> AlifConfig:
    """What a network is, found out without reading its weights; they are there, and not cut short.

    Raises:
        BadInputError: if a file is missing or damaged.
    """
    document = _read_config(folder)
    try:
        with safe_open(_weights_file(folder), framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise _damaged(folder, error) from error
    return AlifConfig.from_json(document.get("network", {}), where=f"{folder / _CONFIG}: network")


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a network, on the CPU.

    Raises:
        BadInputError: if a file is missing or damaged, or weights and configuration do not fit; names which.
        UserError: if the tokenizer cannot be had.
    """
    document = _read_config(folder)
    config = AlifConfig.from_json(document.get("network", {}), where=f"{folder / _CONFIG}: network")
    weights = _weights_file(folder)
    try:
        state = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise _damaged(folder, error) from error
    try:
        model = build_model(config)
    except RuntimeError as error:  # PyTorch has no memory for what the configuration asks for
        problem = str(error).splitlines()[0]
        raise BadInputError(f"{folder / _CONFIG}: no network of these sizes can be made ({problem})") from error
    fill(model, state, where=str(weights))
    tokenizer = open_tokenizer(folder, document.get("tokenizer"))
    return Checkpoint(config, model.eval(), tokenizer, tokenizer.unknown_token)


def fill(model: AlifModel, state: Mapping[str, Tensor], *, where: str) -> None:
    """Put weights into a network, every one and into every place.

    Raises:
        BadInputError: naming keys that are missing, unknown or of another shape.
    """
    own = model.state_dict()
    problems = [
        _listed("lacks", sorted(own.keys() - state.keys())),
        _listed("has unknown", sorted(state.keys() - own.keys())),
        _listed(
            "has of another shape",
            [
                f"{key} {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
                for key in sorted(own.keys() & state.keys())
                if own[key].shape != state[key].shape
            ],
        ),
    ]
    if found := "; ".join(problem for problem in problems if problem):
        raise BadInputError(f"{where}: {found}. It is of another network than its configuration says")
    model.load_state_dict(state)


def checkpoint_sha256(folder: Path) -> str:
    """Hex sha256 over the names and contents of a network's files.

    Raises:
        BadInputError: if it is none.
    """
    digest = hashlib.sha256()
    for name in (_CONFIG, _WEIGHTS, TOKENIZER_FILE):
        path = folder / name
        if not path.is_file():
            if name == TOKENIZER_FILE:
                continue
            raise BadInputError(f"{path}: no such file; give the folder of a network")
        with path.open("rb") as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def open_tokenizer(folder: Path, name: object) -> TextTokenizer:
    """The tokenizer of a network.

    Raises:
        BadInputError: if the configuration names none, or its file is damaged.
        UserError: if it is on the hub, and cannot be fetched.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if not isinstance(name, str) or not name:
        raise BadInputError(
            f"{folder / _CONFIG}: tokenizer is {name!r}; expected a name on the hub, or {TOKENIZER_FILE}"
        )
    try:
        if name == TOKENIZER_FILE:
            special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
            tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(folder / name), **special)
        else:
            # Said, because otherwise transformers asks at the terminal whether a tokenizer's own code may run.
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        if name == TOKENIZER_FILE:
            raise BadInputError(f"{folder / name}: missing or damaged ({error})") from error
        raise UserError(f"{folder / _CONFIG}: the tokenizer {name} cannot be had ({error})") from error
    return TextTokenizer(tokenizer)


def _weights_file(folder: Path) -> Path:
    weights = folder / _WEIGHTS
    if not weights.is_file():
        raise BadInputError(f"{weights}: no such file; give a folder that `relmill convert-rlipv2` or a training wrote")
    return weights


def _damaged(folder: Path, error: Exception) -> BadInputError:
    return BadInputError(f"{folder / _WEIGHTS}: damaged or cut short ({error}); fetch or make it again")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInputError(f"{path}: no such file; give the folder of a network") from error
    except (ValueError, OSError) as error:
        raise BadInputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BadInputError(f"{path}: schema is not {SCHEMA!r}; give the folder of a network of Relmill's")
    return document


def _listed(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return f"{what} {', '.join(keys[:_LISTED])}{more}"
