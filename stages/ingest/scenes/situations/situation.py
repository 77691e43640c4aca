"""What a situation is: one way in which people and things are related, drawn and stated together."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from stages.ingest.scenes.group import Group

Setting = Literal["meadow", "park", "street", "beach", "room", "sea"]


@dataclass(frozen=True, slots=True)
class Situation:
    """A template that places actors and states their relations."""

    name: str
    settings: tuple[Setting, ...]
    build: Callable[[Random], Group]
    weight: float = 1.0
