"""Fixtures shared by all rooms."""

import os
from pathlib import Path

import pytest

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real test data: `RELMILL_TEST_DATA`, by default `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("RELMILL_TEST_DATA", _DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set RELMILL_TEST_DATA to a folder laid out as CONTRIBUTING.md says")
    return folder
