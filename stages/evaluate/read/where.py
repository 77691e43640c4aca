"""Which image an element speaks of."""

from schemas import BadInputError
from stages.ingest.draft import shown
from stages.ingest.triplets import stem


def image_name(where: str, field: str, value: object) -> str:
    """The id of a picture: the name of its file without folder and ending; a number is its own id.

    Raises:
        BadInputError: if it is neither a name nor a whole number.
    """
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or not (name := stem(value).rsplit("/", 1)[-1]):
        raise BadInputError(f"{where}: {field} is {shown(value)}; expected the name of a picture's file, or its id")
    return name
