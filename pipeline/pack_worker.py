"""The last worker: packs finished units. A module of its own, because only it needs Arrow."""

import time
from collections.abc import Sequence

from pipeline.worker import Summary
from schemas import Outcome
from schemas.commit import Commit
from schemas.unit import Unit
from stages.pack import pack_unit
from stages.storage import Folder


class PackWorker:
    """Packs finished units and publishes their files; the driver commits them."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def setup(self) -> float:
        """Nothing to load."""
        return 0.0

    def pack(self, unit: Unit, *parts: Sequence[Outcome]) -> tuple[Commit, Summary]:
        """Pack the outcomes of a unit, given whole or record by record, in order."""
        start = time.perf_counter()
        outcomes = [outcome for part in parts for outcome in part]
        commit = pack_unit(unit, outcomes, self._folder)
        return commit, Summary(len(outcomes), 0, time.perf_counter() - start)
