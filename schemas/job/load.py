"""Job files from disk: YAML in, a checked job out, every fault named by its key."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from schemas.errors import JobError
from schemas.job.dataset import DATASET_PATHS, JobPart
from schemas.job.job import Job
from schemas.job.run import RunJob
from schemas.job.train import TrainJob

AnyJob = TypeVar("AnyJob", bound=JobPart)

# Keys whose values are paths: relative ones are meant from where the job file stands.
_PATHS = {
    "dataset": DATASET_PATHS,
    "caption": ("model",),
    "parse": ("model",),
    "tag": ("prior", "model", "calibration"),
}

# Keys whose models are chosen by another key inside (`format`, `backend`).
_UNIONS = {"dataset", "caption", "tag"}


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice: the second would silently win."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
    if twice is not None:
        raise yaml.constructor.ConstructorError(None, None, f"key {twice!r} is given twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_job(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Job:
    """Read a job file, apply `a.b=value` overrides (values are YAML) and resolve its relative paths.

    Raises:
        JobError: naming the file and the key, the value found and what is expected.
    """
    document = _read(Path(path), overrides, keys="dataset, output, ...")
    return build_job(document, base=Path(path).resolve().parent, name=str(path))


def load_train_job(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> TrainJob:
    """The same of a job file of `relmill train`."""
    document = _read(Path(path), overrides, keys="sources, output, ...")
    return build_train_job(document, base=Path(path).resolve().parent, name=str(path))


def load_run_job(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> RunJob:
    """The same of a file of `relmill run`."""
    document = _read(Path(path), overrides, keys="label, train, ...")
    job = _checked(RunJob, document, name=str(path), schema="run")
    base = os.fspath(Path(path).resolve().parent)
    return job.model_copy(update={name: resolve_path(getattr(job, name), base) for name in ("label", "train")})


def build_job(document: dict[str, Any], *, base: str | os.PathLike[str] = ".", name: str = "job") -> Job:
    """Check a job given as plain dictionaries; relative paths resolve against `base`.

    Raises:
        JobError: as `load_job`.
    """
    return _resolve(_checked(Job, document, name=name, schema="job"), os.fspath(base))


def build_train_job(document: dict[str, Any], *, base: str | os.PathLike[str] = ".", name: str = "job") -> TrainJob:
    """The same of a job of `relmill train`."""
    return _resolve_training(_checked(TrainJob, document, name=name, schema="train"), os.fspath(base))


def _read(file: Path, overrides: Sequence[str], *, keys: str) -> dict[str, Any]:
    """The document of a job file, with its overrides."""
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"{file}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise JobError(f"{file}: not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise JobError(f"{file}: a job is a mapping with the keys {keys}; found {type(document).__name__}")
    for override in overrides:
        _override(document, override)
    return document


def _checked(kind: type[AnyJob], document: dict[str, Any], *, name: str, schema: str) -> AnyJob:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise JobError("\n".join(f"{name}: {_explain(detail, schema)}" for detail in error.errors())) from error


def _explain(detail: Any, schema: str) -> str:
    """`tag.prio: unknown key; known keys are ...`, one line per fault."""
    # Behind a union's key pydantic puts the name of the branch (`coco`, `blip`); no such key stands in the file.
    parts = [str(part) for part in detail["loc"]]
    key = ".".join(parts[:1] + parts[2:] if parts and parts[0] in _UNIONS else parts)
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key (value {detail['input']!r}); remove it or see `relmill schema {schema}`"
    if detail["type"] == "missing":
        return f"{key}: missing; add it"
    if not key:  # of the job as a whole: the message names the keys
        return str(detail["msg"])
    return f"{key}: {detail['msg']} (found {detail['input']!r})"


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise JobError(f"--set {override}: expected key=value, for example --set tag.min_score=0.2")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise JobError(f"--set {override}: the value is not valid YAML: {error}") from error
    *parents, leaf = key.split(".")
    place: Any = document
    for parent in parents:
        place = place.setdefault(parent, {}) if isinstance(place, dict) else _element(place, parent, override)
        if not isinstance(place, dict | list):
            raise JobError(f"--set {override}: {parent} is {place!r}, which has no keys")
    if isinstance(place, dict):
        place[leaf] = value
    else:
        _element(place, leaf, override)
        place[int(leaf)] = value


def _element(elements: list[Any], number: str, override: str) -> Any:
    if not number.isdecimal() or int(number) >= len(elements):
        raise JobError(f"--set {override}: {number} is no element of a list of {len(elements)}; the first is 0")
    return elements[int(number)]


def _resolve(job: Job, base: str) -> Job:
    parts: dict[str, Any] = {"output": resolve_path(job.output, base)}
    for name, keys in _PATHS.items():
        part = getattr(job, name)
        changes = {key: resolve_path(value, base) for key in keys if (value := getattr(part, key, None)) is not None}
        if name != "dataset":
            # `builtin` and hub names are no paths; a value counts as one only if it stands there.
            changes = {key: value for key, value in changes.items() if os.path.exists(value)}
        parts[name] = part.model_copy(update=changes)
    return job.model_copy(update=parts)


def _resolve_training(job: TrainJob, base: str) -> TrainJob:
    changes: dict[str, Any] = {
        "output": resolve_path(job.output, base),
        "sources": tuple(
            source.model_copy(update={"output": resolve_path(source.output, base)}) for source in job.sources
        ),
    }
    if job.validation is not None:
        of_validation = {"output": resolve_path(job.validation.output, base)}
        changes["validation"] = job.validation.model_copy(update=of_validation)
    if job.cache is not None:
        changes["cache"] = resolve_path(job.cache, base)
    if job.network != "tiny":
        changes["network"] = resolve_path(job.network, base)
    return job.model_copy(update=changes)


def resolve_path(path: str, base: str) -> str:
    """A URL or absolute path as it is, a relative path from `base`."""
    if re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://", path):
        return path
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))
