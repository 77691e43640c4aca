"""Image ids, which datasets write as numbers or as strings."""

from schemas import BadInputError


def image_id(value: object, where: str, *places: object) -> str:
    """The id as a string: `17`, `17.0` and `"17"` are the same image.

    Args:
        where: the field, for the error. `{}` in it is filled from `places` only then: this runs for every annotation.

    Raises:
        BadInputError: if it is missing or of another type; without it nothing can be said about the record.
    """
    if type(value) is int:
        return str(value)
    if isinstance(value, str) and value:
        return value
    if type(value) is float and value.is_integer():
        return str(int(value))
    raise BadInputError(f"{where.format(*places)} is {value!r}; expected a number or a non-empty string")
