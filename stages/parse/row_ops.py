"""Matrix products that give a row the same bits whatever stands beside it, and give them fast.

A caption must parse alike in any batch, on one process or ten. Most of a network works row by row; its matrix products
do not: the library picks another kernel for another number of rows, which rounds otherwise, and now and then a tie
between two parses breaks the other way. So rows go through in blocks of one size, the last filled up with zeros. The
products are numpy's (OpenBLAS), not those of thinc's BLIS, which take longer: `benchmarks/parse.py` measures both.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thinc.api import NumpyOps
    from threadpoolctl import ThreadpoolController

# A multiple of every kernel's rows; at 128 the products of this network run within 20 % of their top speed.
ROWS = 128


def one_blas_thread() -> AbstractContextManager[object]:
    """Products inside run on one thread: these are small, and threads that wait for each other cost up to 20 times.

    Measured on 3,000 words with another process on the second core. More speed comes from more processes.
    """
    limit: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def row_ops() -> "NumpyOps":
    """thinc operations for the CPU whose products do not depend on the batch."""
    from thinc.api import NumpyOps

    class RowOps(NumpyOps):  # type: ignore[misc] # thinc is imported where it is used
        # The signature is thinc's.
        def gemm(self, x: Any, y: Any, out: Any = None, trans1: bool = False, trans2: bool = False) -> Any:  # noqa: FBT001, FBT002
            if trans1:  # only training transposes the rows
                return super().gemm(x, y, out=out, trans1=trans1, trans2=trans2)
            weights = y.T if trans2 else y
            result = np.empty((len(x), weights.shape[1]), dtype=x.dtype) if out is None else out
            whole = len(x) - len(x) % ROWS
            for start in range(0, whole, ROWS):
                np.matmul(x[start : start + ROWS], weights, out=result[start : start + ROWS])
            if whole < len(x):
                last = np.zeros((ROWS, x.shape[1]), dtype=x.dtype)
                last[: len(x) - whole] = x[whole:]
                result[whole:] = (last @ weights)[: len(x) - whole]
            return result

    return RowOps(use_blis=False)
