"""`report.html`: one file that opens anywhere, with drawn examples and what to do next. It asks no server."""

import base64
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pipeline.report.reasons import reason_in_words
from pipeline.report.sample import Sample, committed_scene, is_label, row_relations, spread
from pipeline.show.draw import VERDICT_COLOURS, draw_scene
from pipeline.show.verdict import Triplet, Verdict, judged_triplets
from schemas import RelmillError, Scene
from stages.audit.evidence import Segment, evidence_segments
from stages.duration import duration
from stages.storage import Folder

_NUM_EXAMPLES = 12
_MOST_TRIPLETS = 8
_MOST_CAPTIONS = 5
_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ExampleTriplet:
    """One line under a picture."""

    subject: str
    predicate: str
    object: str
    score: float
    source: str
    verdict: Verdict
    caption: int | None
    segments: Sequence[Segment]
    """Of the first piece of evidence; empty without."""


@dataclass(frozen=True, slots=True)
class Example:
    """A drawn scene."""

    key: str
    image: str
    """Data URI."""
    triplets: Sequence[ExampleTriplet]
    num_hidden: int
    """Triplets not listed."""
    captions: Sequence[str]
    num_captions: int


def choose_examples(folder: Folder, sample: Sample, *, seed: str) -> tuple[list[Example], list[str]]:
    """Twelve scenes of the sample, evenly spread by a seed, and what could not be read of them.

    Only scenes with labels are drawn, if there are any; the report says how many scenes have none.
    """
    rows = [row for row in sample.rows if any(is_label(relation) for relation in row_relations(row))] or sample.rows
    examples, problems = [], []
    for i in spread(len(rows), _NUM_EXAMPLES, seed=seed):
        try:
            examples.append(_example(committed_scene(folder, rows[i])))
        except (RelmillError, PermissionError) as error:
            problems.append(str(error))
    return examples, problems


def render_page(url: str, document: dict[str, Any], sample: Sample, examples: Sequence[Example]) -> bytes:
    """The page for a `report.json` document. Everything in it that others wrote is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        percent=_percent, interval=_interval, duration=duration, number=_number, shell=shlex.quote, code=_code
    )
    template = environment.from_string(files("pipeline.report").joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        report=document,
        examples=examples,
        reasons=_reasons(document["totals"]["reasons"], sample),
        colours={verdict: [_css(colour) for colour in pair] for verdict, pair in VERDICT_COLOURS.items()},
        url=url,
        query=index_query(url),
    )
    return page.encode("utf-8", errors="replace")


def index_query(url: str) -> str:
    """SQL for DuckDB that counts the labelled triplets of an output, reading only index files that commits name."""
    place = url.replace("'", "''")
    return f"""\
SET VARIABLE indexes = (
  SELECT list('{place}/' || "index".name ORDER BY number)
  FROM read_json('{place}/commits/*.json',
                 columns = {{number: 'BIGINT', "index": 'STRUCT(name VARCHAR)'}})
  WHERE "index" IS NOT NULL);

SELECT r.subject, r.predicate, r.object, count(*) AS n, round(avg(r.score), 3) AS score
FROM (SELECT unnest(relations) AS r FROM read_parquet(getvariable('indexes')))
WHERE r.source <> 'human' AND r.state = 'asserted'
GROUP BY ALL ORDER BY n DESC, 1, 2, 3 LIMIT 20;"""  # noqa: S608 - text for a person to run; the only value in it is quoted


def _example(scene: Scene) -> Example:
    buffer = io.BytesIO()
    draw_scene(scene).save(buffer, "JPEG", quality=82)
    triplets = judged_triplets(scene)
    return Example(
        key=scene.key,
        image="data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"),
        triplets=[_line(scene, triplet) for triplet in triplets[:_MOST_TRIPLETS]],
        num_hidden=max(0, len(triplets) - _MOST_TRIPLETS),
        captions=[_short(caption.text) for caption in scene.captions[:_MOST_CAPTIONS]],
        num_captions=len(scene.captions),
    )


def _line(scene: Scene, triplet: Triplet) -> ExampleTriplet:
    names = {region.id: region.name for region in scene.regions}
    evidence = triplet.relation.evidence[0] if triplet.relation.evidence else None
    return ExampleTriplet(
        subject=f"{names.get(triplet.subject, '?')}#{triplet.subject}",
        predicate=triplet.predicate,
        object=f"{names.get(triplet.object, '?')}#{triplet.object}",
        score=triplet.relation.score,
        source=triplet.relation.source,
        verdict=triplet.verdict,
        caption=evidence.caption if evidence else None,
        segments=evidence_segments(scene, evidence) if evidence else [],
    )


def _reasons(reasons: dict[str, int], sample: Sample) -> list[dict[str, Any]]:
    """A row per reason: how often, what it means, and one scene of the sample to look at."""
    seen: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {}
    for name, letter in sample.letters:
        seen.setdefault(
            (str(letter.get("outcome")), str(letter.get("stage")), str(letter.get("reason"))), (name, letter)
        )
    rows = []
    for slug, number in reasons.items():
        outcome, _, rest = slug.partition(".")
        stage, _, reason = rest.partition(".")
        name, letter = seen.get((outcome, stage, reason), ("", {}))
        where = "the `provenance.repairs` of each scene" if outcome == "repaired" else "`dead/*.jsonl`"
        rows.append(
            {
                "outcome": outcome,
                "stage": stage,
                "reason": reason,
                "number": number,
                "words": reason_in_words(reason),
                "where": f"`{name}`" if name else where,
                "key": str(letter.get("key", "")),
                "detail": _short(str(letter.get("detail", ""))),
            }
        )
    order = {"dead": 0, "rejected": 1, "repaired": 2}
    return sorted(rows, key=lambda row: (order.get(str(row["outcome"]), 3), -row["number"], row["reason"]))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _interval(pair: Sequence[float] | None) -> str:
    return "" if pair is None else f"{100 * pair[0]:.1f} – {100 * pair[1]:.1f}"


def _number(value: int) -> str:
    """Thousands apart by a thin space, as read in every language."""
    return f"{value:,}".replace(",", "\u2009")


def _code(text: str) -> Markup:
    """Our own sentences: what stands between backticks as code, all of it escaped."""
    parts = (Markup("<code>{}</code>") if i % 2 else Markup("{}") for i in range(text.count("`") + 1))
    return Markup().join(part.format(piece) for part, piece in zip(parts, text.split("`"), strict=True))


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
