"""Fixtures shared by all rooms."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blip_made import save_tiny_blip
from hypothesis import HealthCheck, settings

# The same examples in every run, so that a red main can be looked into; `pytest --hypothesis-profile=explore` draws new
# ones. How long an example takes is the machine's affair.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real test data: `RELMILL_TEST_DATA`, by default `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("RELMILL_TEST_DATA", _DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set RELMILL_TEST_DATA to a folder laid out as CONTRIBUTING.md says")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """An S3 server on loopback with a bucket `relmill`; the environment that leads clients to it, also set here.

    One for all tests: clients are cached by fsspec and would go on to the first server's port.
    """
    pytest.importorskip("s3fs", reason="needs the s3 extra")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    )
    boto3.client("s3").create_bucket(Bucket="relmill")
    yield dict(os.environ)
    os.environ.clear()
    os.environ.update(before)
    server.stop()


@pytest.fixture(scope="session")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP model folder, tiny and of random weights."""
    folder = tmp_path_factory.mktemp("tiny-blip")
    save_tiny_blip(folder)
    return folder
