"""How long something takes, for a person."""


def duration(seconds: float | None) -> str:
    """`1:02:03`, `2:03`, or `-` if unknown."""
    if seconds is None:
        return "-"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
