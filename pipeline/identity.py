"""What a job is: the digest of everything that can change a byte of its output, and of nothing else."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from schemas import SCHEMA_VERSION
from schemas.job import DATASET_PATHS, Job
from stages.contract import Stage
from stages.ingest import Dataset


def job_settings(job: Job, dataset: Dataset, stages: Sequence[Stage]) -> dict[str, Any]:
    """The settings that make two runs the same job, as plain JSON values; recorded in `dataset.json`."""
    # Where things lie is not what they are: contents are covered by the fingerprint and the identities of the stages.
    options = job.dataset.model_dump(mode="json", exclude=set(DATASET_PATHS))
    return {
        "dataset": {**options, "name": dataset.name, "fingerprint": dataset.fingerprint()},
        "screen": job.screen.model_dump(mode="json"),
        "stages": {stage.name: stage.identity for stage in stages},
        "tag": job.tag.model_dump(mode="json", exclude={"prior", "model", "calibration"}),
        "unit_size": job.unit_size,
        "seed": job.seed,
        "schema": SCHEMA_VERSION,
    }


def settings_digest(settings: dict[str, Any]) -> str:
    """Hex sha256 of the settings; the job digest in every scene's provenance."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(found: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """`key: found, this job has ...` for each setting that differs, for an error message."""
    lines = []
    for key in sorted(found.keys() | wanted.keys()):
        name, a, b = f"{prefix}{key}", found.get(key), wanted.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{name}.")
        elif a != b:
            lines.append(f"{name}: {a!r} there, {b!r} in this job")
    return lines
