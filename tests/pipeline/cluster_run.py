"""A run on a Ray cluster of which one node goes and another comes. A script: it needs a process of its own.

usage: cluster_run.py OUTPUT
"""

import sys
import threading
import time

import ray
from ray.cluster_utils import Cluster
from tests_made import ListDataset, Relate, Slow, scenes

from pipeline.label import label, prepare
from schemas.job import build_job
from stages.pack import CommitLog


def main(output: str) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    leaving = cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, logging_level="error", log_to_driver=False)
    pools = {name: {"workers": 3, "cpus": 0.3} for name in ("parse", "tag")}
    job = build_job(
        {
            "dataset": {"format": "scenes", "pixels": False},
            "output": output,
            "unit_size": 3,
            "runtime": {"kind": "ray", "pools": pools, "window_units": 8, "attempts": 3},
        }
    )
    prepared = prepare(job, stages=[Slow(0.03), Relate()], dataset=ListDataset(scenes(120)))

    # Nodes are added from the main thread, which is all Ray allows; so the run has a thread of its own.
    results = []
    run = threading.Thread(target=lambda: results.append(label(prepared, quiet=True)))
    run.start()
    log = CommitLog(prepared.folder)
    while log.read(4) is None:
        time.sleep(0.05)
    cluster.remove_node(leaving, allow_graceful=False)
    print("node removed at commit", log.length(), flush=True)
    cluster.add_node(num_cpus=2)
    print("node added at commit", log.length(), flush=True)
    run.join()
    assert results[0].totals.written == 120, results
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
