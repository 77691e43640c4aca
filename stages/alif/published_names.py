"""The names that RLIPv2's checkpoints give to the whole network, and ours.

Lines are those of `published_encoder`: (regular expression on the whole published key, our key). The first line that
matches counts; an empty key says that the tensor has no place with us, and why is said where the line stands.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from stages.alif import published_backbone, published_decoder, published_encoder
from stages.alif.config import AlifConfig
from stages.alif.published_encoder import Names, below

_SHARED: Names = (
    # ParSeD's encoder is published as `ho_encoder`, ParSeDA's as `encoder`.
    *below(r"transformer\.(?:ho_)?encoder\.", "encoder.", published_encoder.NAMES),
    (r"transformer\.resizer\.fc\.(?P<leaf>weight|bias)", r"resizer.linear.\g<leaf>"),
    (r"transformer\.resizer\.layer_norm\.(?P<leaf>weight|bias)", r"resizer.norm.\g<leaf>"),
    *published_backbone.NAMES,
)


def names_for(config: AlifConfig) -> Names:
    """The lines for a network of this configuration."""
    lines = published_decoder.TAGGER_NAMES if config.decoding == "pairs" else published_decoder.NAMES
    return (*_SHARED, *((pattern, ours and f"decoder.{ours}") for pattern, ours in lines))


def renamed(values: Mapping[str, Tensor], names: Names) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Published tensors under our names.

    Returns:
        The tensors by our name; the published keys that have no place with us, on purpose; those that match no line.
    """
    lines = [(re.compile(pattern), ours) for pattern, ours in names]
    found: dict[str, Tensor] = {}
    unused: list[str] = []
    unknown: list[str] = []
    for key, tensor in values.items():
        ours = _renamed(key, lines)
        if ours is None:
            unknown.append(key)
        elif not ours:
            unused.append(key)
        else:
            found[ours] = tensor
    return found, unused, unknown


def _renamed(key: str, lines: Iterable[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, ours in lines:
        if match := pattern.fullmatch(key):
            return match.expand(ours)
    return None
