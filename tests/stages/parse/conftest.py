"""The built-in parser, loaded once."""

import pytest

from stages.parse import CaptionParser


@pytest.fixture(scope="session")
def parser() -> CaptionParser:
    return CaptionParser()
