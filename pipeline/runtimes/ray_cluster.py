"""Joining a Ray cluster, or starting a local one."""

from collections.abc import Iterator
from contextlib import contextmanager

import ray

from schemas import UserError


@contextmanager
def ray_cluster(address: str | None, *, setting: str = "runtime.address") -> Iterator[None]:
    """Join the cluster at `address`, or start a local one; a cluster this process already joined is used as it is.

    Args:
        address: as Ray takes it; by default a cluster of this machine is started.
        setting: where the address comes from, for the message.

    Raises:
        UserError: if there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address or "local", include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"{setting} {address!r}: no Ray cluster there: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()
