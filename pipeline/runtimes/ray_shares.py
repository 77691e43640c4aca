"""One Ray cluster for labelling and training at the same time: each has its part, and cannot take the other's.

First the trainer's workers are reserved, so that they fit however the rest is used. What each node has left becomes the
labellers' placement group, in which all their actors run. The trainer's reservation is given up as it starts: nothing
else may take its place, and Ray Train makes a group of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import GetTimeoutError
from ray.util import placement_group, placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

from pipeline.runtimes.context import ClusterShare
from schemas import UserError

_PLACED_WITHIN_S = 60.0


class DividedCluster:
    """A cluster in two parts."""

    def __init__(self, trainer: PlacementGroup, labellers: ClusterShare) -> None:
        self._trainer: PlacementGroup | None = trainer
        self.labellers = labellers

    def start_trainer(self) -> None:
        """Give up the reservation, for the trainer to take its place."""
        if self._trainer is not None:
            remove_placement_group(self._trainer)
            self._trainer = None

    def end_labelling(self) -> None:
        """Hand what the labellers had back to the cluster; their actors must be gone."""
        remove_placement_group(self.labellers.placement_group)


@contextmanager
def divided_cluster(*, num_workers: int, gpus_per_worker: float) -> Iterator[DividedCluster]:
    """Divide the cluster that this process has joined.

    Args:
        num_workers: of the trainer; each has a CPU.
        gpus_per_worker: of the trainer.

    Raises:
        UserError: if the trainer does not fit, or leaves no CPU for the labellers.
    """
    each = {"CPU": 1.0} | ({"GPU": gpus_per_worker} if gpus_per_worker else {})
    trainer = _placed([each] * num_workers, f"the {num_workers} workers of the training")
    left = _left_over(trainer)
    if not left:
        remove_placement_group(trainer)
        raise UserError(
            f"the {num_workers} workers of the training take every CPU of the cluster, and labelling needs one; give "
            f"the training fewer workers, or the cluster more CPUs"
        )
    labellers = _placed(left, "the workers of the labelling")
    resources = {kind: sum(bundle.get(kind, 0.0) for bundle in left) for kind in ("CPU", "GPU")}
    cluster = DividedCluster(trainer, ClusterShare(labellers, resources))
    try:
        yield cluster
    finally:
        cluster.start_trainer()
        cluster.end_labelling()


def _left_over(taken: PlacementGroup) -> list[dict[str, float]]:
    """For each node with a CPU left, what it has left."""
    table = placement_group_table(taken)
    used: dict[str, dict[str, float]] = {}
    for number, node in table["bundles_to_node_id"].items():
        of_node = used.setdefault(node, {})
        for kind, amount in table["bundles"][number].items():
            of_node[kind] = of_node.get(kind, 0.0) + amount
    bundles = []
    for node in sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeID"])):
        left = {
            kind: node["Resources"].get(kind, 0.0) - used.get(node["NodeID"], {}).get(kind, 0.0)
            for kind in ("CPU", "GPU")
        }
        if left["CPU"] >= 1:
            bundles.append({kind: amount for kind, amount in left.items() if amount > 0})
    return bundles


def _placed(bundles: list[dict[str, float]], what: str) -> PlacementGroup:
    group = placement_group(bundles, strategy="PACK")
    try:
        ray.get(group.ready(), timeout=_PLACED_WITHIN_S)
    except GetTimeoutError as error:
        remove_placement_group(group)
        needed = {kind: sum(bundle.get(kind, 0.0) for bundle in bundles) for kind in ("CPU", "GPU")}
        has = ray.cluster_resources()
        raise UserError(
            f"{what} need {needed['CPU']:g} CPUs and {needed['GPU']:g} GPUs, and the cluster has "
            f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}, of which others may use some; give them less"
        ) from error
    return group
