"""A number that is none stops a training before it gets into the weights."""

import math

from torch import Tensor

from schemas import UserError


def check_finite(what: str, figure: Tensor | float, step: int) -> None:
    """Refuse a loss or a length of a gradient that is no finite number.

    Of several workers all must see the same figure, so that either all stop or none.

    Args:
        what: names the figure, for the message.
        figure: ().
        step: the first is 0.

    Raises:
        UserError: naming the step, counted from 1.
    """
    value = float(figure.detach() if isinstance(figure, Tensor) else figure)
    if not math.isfinite(value):
        raise UserError(
            f"the {what} is {value} at step {step + 1}, and no weight was changed by it; train anew with a lower "
            f"learning rate, or go on from the last state with a longer warm-up"
        )
