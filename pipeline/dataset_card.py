"""`dataset_card.md`: what an output holds, for a person who finds it."""

from pipeline.plan import PlanSummary
from schemas import SCHEMA_VERSION
from schemas.commit import Counts


def dataset_card(name: str, plan: PlanSummary, totals: Counts) -> str:
    """Markdown with the front matter that dataset hubs read. A function of the job and the data alone."""
    reasons = "\n".join(f"| `{reason}` | {number} |" for reason, number in totals.reasons.items()) or "| (none) | 0 |"
    return f"""---
pretty_name: {name}, pseudo-labelled scene graphs
tags: [scene-graph, human-object-interaction, pseudo-labels, webdataset, relmill]
---

# {name}, pseudo-labelled scene graphs

Made by Relmill, job `{plan.job[:16]}`, record schema `{SCHEMA_VERSION}`.
Regions are the dataset's own boxes. Relations with `source: human` are the dataset's own; all others are pseudo-labels,
each with its score and the caption words it rests on. What no relation says is unknown, not false.

| | |
|---|---|
| images planned | {totals.planned} |
| written | {totals.written} |
| rejected | {totals.rejected} |
| dead | {totals.dead} |
| relations | {totals.relations} |
| regions in the annotations | {plan.num_regions} |
| human relations in the annotations | {plan.num_human_relations} |

| what was not as planned | scenes |
|---|---|
{reasons}

The pictures keep the licences of the dataset they come from.

Read `commits/00000000.json` and up: an entry names a shard, its index and their checksums.
What no entry names does not exist. `layers/00000000.json` and up, if there are any, hold what people said of relations
since: where they contradict a shard, they are right.
"""
