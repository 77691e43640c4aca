"""JSON objects, each with where it stands in its file, for messages: the elements of a list, or one a line."""

import json
from collections.abc import Iterator
from typing import Any

from schemas import BadInputError
from stages.ingest.draft import shown
from stages.ingest.files import open_text
from stages.ingest.json_stream import json_array


def objects_of_list(path: str, *, layout: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(place, element)` of a file that is one JSON list of objects.

    Args:
        path: plain or gzipped, any fsspec URL.
        layout: what the file should look like, for the error message.

    Raises:
        BadInputError: as `json_array`; also if an element is no object.
    """
    for index, entry in enumerate(json_array(path, layout=layout)):
        where = f"{path}: element {index}"
        yield where, _object(where, entry, layout)


def objects_of_lines(path: str, *, layout: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """`(place, object)` of a file with one JSON object a line; empty lines are passed over.

    Arguments are those of `objects_of_list`.

    Raises:
        BadInputError: if a line is no JSON object; names it.
    """
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadInputError(f"{where}: not valid JSON ({error}); expected {layout}") from error
            yield where, _object(where, entry, layout)


def _object(where: str, entry: Any, layout: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise BadInputError(f"{where} is {shown(entry)}; expected {layout}")
    return entry
