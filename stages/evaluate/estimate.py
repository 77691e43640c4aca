"""A figure and how sure it is: what every score with intervals is made of."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, both in [0, 1]. None where there was nothing to measure it on."""

    value: float | None
    interval: tuple[float, float] | None

    def to_text(self) -> str:
        """In percent, the interval in brackets; a dash for nothing."""
        if self.value is None:
            return "-"
        text = f"{100 * self.value:.1f}"
        if self.interval is None:
            return text
        low, high = self.interval
        return f"{text} ({100 * low:.1f} to {100 * high:.1f})"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"value": self.value, "interval_95": self.interval}
