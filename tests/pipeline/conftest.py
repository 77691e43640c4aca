"""Fixtures of the pipeline's tests: both runtimes, a shared Ray cluster, outputs read back."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests_made import ListDataset, Relate, scenes

from pipeline.label import Prepared, prepare
from schemas.job import build_job


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One local Ray cluster for all tests that want one; runs join it because this process has."""
    import ray

    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(params=["inline", "ray"])
def runtime(request: pytest.FixtureRequest) -> str:
    """The name of a runtime; a test that takes it runs on each."""
    if request.param == "ray":
        request.getfixturevalue("ray_session")
    return request.param


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Prepared]:
    """Prepare a job over made scenes: `make(runtime, stages=[...], num=20, out="out", unit_size=4, timeout_s=...)`."""

    def build(kind: str = "inline", *, stages=None, num=20, out="out", unit_size=4, items=None, **runtime) -> Prepared:
        job = build_job(
            {
                "dataset": {"format": "scenes", "pixels": False},
                "output": str(tmp_path / out),
                "unit_size": unit_size,
                "runtime": {"kind": kind, "max_dead_fraction": 1.0, **runtime},
            }
        )
        dataset = ListDataset(scenes(num) if items is None else items)
        return prepare(job, stages=[Relate()] if stages is None else stages, dataset=dataset)

    return build
