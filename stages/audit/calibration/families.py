"""Which predicates share a map: each has its own, all share one, or as a file says."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from schemas import BadInputError

Families = Literal["predicate", "none"] | Mapping[str, str]
"""Each predicate is a family; there are none; or predicate to the name of its family."""

LEAST_LABELS = 30
"""A family with fewer has no map of its own, and a kind of labels with fewer none at all: of 30
labels, half of them right, the true share may be 0.33 or 0.67."""


def family_names(predicates: Iterable[str], families: Families) -> dict[str, str]:
    """Predicate to its family, of those families that have labels enough; the other predicates are left out.

    Args:
        predicates: one for each label.
        families: what goes together.
    """
    if families == "none":
        return {}
    counts = Counter(predicates)
    of = {name: name for name in counts} if families == "predicate" else dict(families)
    sizes: Counter[str] = Counter()
    for name, number in counts.items():
        if name in of:
            sizes[of[name]] += number
    return {name: family for name, family in sorted(of.items()) if sizes[family] >= LEAST_LABELS}


def read_families(path: Path) -> dict[str, str]:
    """A file of families: a JSON object, predicate to family, both texts.

    Raises:
        BadInputError: if there is none, or it is something else.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BadInputError(
            f'--families {path}: no such file; give predicate, none, or a JSON file like {{"ride": "motion"}}'
        ) from error
    except OSError as error:
        raise BadInputError(f"--families {path}: cannot be read: {error}") from error
    except ValueError as error:
        raise BadInputError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(document, dict) or not document:
        raise BadInputError(f'{path}: expected an object of predicates with their families, like {{"ride": "motion"}}')
    for name, family in document.items():
        if not isinstance(family, str) or not family or not name:
            raise BadInputError(f"{path}: the family of {name!r} is {family!r}; expected a name")
    return document
