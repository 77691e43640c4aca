"""File-safe keys: `<dataset>-<image id>`."""

import hashlib
import re

_UNSAFE = re.compile(rb"[^A-Za-z0-9_]")
_LONGEST = 100
_KEPT = 60


def file_safe(image_id: str) -> str:
    """An image id as letters, digits, `_` and `-`; different ids stay different.

    Any other byte of its UTF-8 form becomes `-` and two hex digits (`a.b` is `a-2Eb`; WebDataset splits names at the
    first dot). An id that gets longer than 100 characters keeps its first 60, then `--` and 128 bits of its SHA-256;
    no plain id holds `--`, and names of 255 bytes, the limit of most file systems, are never in danger.
    """
    if image_id.isascii() and image_id.isalnum() and len(image_id) <= _LONGEST:
        return image_id
    data = image_id.encode("utf-8", errors="surrogatepass")
    safe = _UNSAFE.sub(lambda match: b"-%02X" % match.group()[0], data).decode("ascii")
    if len(safe) > _LONGEST:
        safe = f"{safe[:_KEPT]}--{hashlib.sha256(data).hexdigest()[:32]}"
    return safe
