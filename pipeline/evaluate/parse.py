"""`relmill evaluate parse`: parsed captions against captions whose relations people wrote down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.evaluate.evaluation import table_lines
from schemas import BadInputError, InternalError
from stages.evaluate.caption_lines import (
    GOLD_LAYOUT,
    GoldCaption,
    ReadCaption,
    read_caption,
    read_gold_lines,
    read_parses,
)
from stages.evaluate.factual import COLUMNS, factual_graph, read_factual
from stages.evaluate.graphs import GraphScore, SceneGraph, score_graphs
from stages.ingest.files import content_sha256, open_text
from stages.parse.parsed import Parse

GoldFormat = Literal["factual", "relations"]
ParseCaptions = Callable[[Sequence[str]], Sequence[Parse]]

_HEADINGS = {
    "factual": "FACTUAL graphs, names compared as lemmas",
    "relations": "relations only, things compared by head noun",
}


@dataclass(frozen=True, slots=True)
class ParseEvaluation:
    """What a parser scored on a file of gold captions, with all it takes to measure it again."""

    gold: str
    """Name of the file, without its folder."""
    gold_sha256: str
    format: GoldFormat
    model: str
    """What parsed: the name of a parser, or of the file of its lines."""
    seed: int
    num_resamples: int
    score: GraphScore

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The lines of a table; the first is its head."""
        return self.score.rows()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "gold": self.gold,
            "gold_sha256": self.gold_sha256,
            "format": self.format,
            "model": self.model,
            "seed": self.seed,
            "resamples": self.num_resamples,
            **self.score.to_json(),
        }

    def to_text(self) -> str:
        """A table for a terminal: percentages, each with its 95 % interval."""
        head = [
            f"gold   {self.gold}: {self.score.num_captions} captions, {_HEADINGS[self.format]}",
            f"model  {self.model}",
            f"score  F1, or the share of captions, in percent (95 % interval of {self.num_resamples} resamples)",
        ]
        return "\n".join([*head, "", *table_lines(self.rows())])


def evaluate_parse(
    gold: Path,
    *,
    predictions: Path | None = None,
    parse: ParseCaptions | None = None,
    model: str = "",
    num_resamples: int = 1000,
    seed: int = 0,
) -> ParseEvaluation:
    """Score the lines of `relmill parse`, or parse the gold captions and score that.

    Args:
        gold: FACTUAL's CSV, or JSON lines `{"caption": ..., "relations": [[subject, predicate, object], ...]}`.
        predictions: lines of `relmill parse`, in the order of the gold captions, or in any order with every caption
            among them; they may hold others, too.
        parse: parses captions, one result a caption in the same order. Either this or `predictions` is given.
        model: what the result says of who parsed; the name of `predictions` if left empty.
        num_resamples: bootstrap resamples of the intervals.
        seed: of the bootstrap.

    Raises:
        BadInputError: if a file is missing or malformed, holds no caption, or lacks one of the gold.
    """
    assert (predictions is None) != (parse is None), "give either predictions or a parser"
    form, captions = _read_gold(gold)
    if predictions is not None:
        read = _aligned(captions, _read_predictions(predictions), predictions)
    elif parse is not None:
        read = _parsed(captions, parse)
    translate = factual_graph if form == "factual" else _plain_graph
    return ParseEvaluation(
        gold=gold.name,
        gold_sha256=content_sha256(str(gold)),
        format=form,
        model=model or (predictions.name if predictions is not None else "unnamed"),
        seed=seed,
        num_resamples=num_resamples,
        score=score_graphs(
            ((translate(one), caption.graph) for one, caption in zip(read, captions, strict=True)),
            relations_only=form == "relations",
            num_resamples=num_resamples,
            seed=seed,
        ),
    )


def print_evaluation(evaluation: ParseEvaluation) -> None:
    """Print the table."""
    print(evaluation.to_text())  # noqa: T201 - the terminal's face


def _plain_graph(read: ReadCaption) -> SceneGraph:
    return read.plain_graph


def _read_gold(path: Path) -> tuple[GoldFormat, list[GoldCaption]]:
    """The gold captions and the layout of their file, told by its first character."""
    _must_exist(path, f"FACTUAL's CSV, or {GOLD_LAYOUT}")
    with open_text(str(path)) as file:
        first = next((line.lstrip()[0] for line in file if line.strip()), "")
    form: GoldFormat = "relations" if first == "{" else "factual"
    captions = read_gold_lines(str(path)) if form == "relations" else read_factual(str(path))
    if not captions:
        raise BadInputError(f"{path}: holds no captions; expected {','.join(COLUMNS)}, or {GOLD_LAYOUT}")
    return form, captions


def _read_predictions(path: Path) -> list[ReadCaption]:
    _must_exist(path, "what `relmill parse` wrote")
    return read_parses(str(path))


def _aligned(captions: Sequence[GoldCaption], lines: Sequence[ReadCaption], path: Path) -> list[ReadCaption]:
    """The line of each caption: that of its place if the text agrees, else the first with its text."""
    by_text: dict[str, ReadCaption] = {}
    for line in lines:
        by_text.setdefault(_plain(line.text), line)
    aligned = []
    for index, caption in enumerate(captions):
        text = _plain(caption.text)
        if index < len(lines) and _plain(lines[index].text) == text:
            aligned.append(lines[index])
        elif text in by_text:
            aligned.append(by_text[text])
        else:
            raise BadInputError(
                f"{path}: has no line for the caption {caption.text[:80]!r} ({caption.where}); "
                f"parse the captions of the gold file"
            )
    return aligned


def _parsed(captions: Sequence[GoldCaption], parse: ParseCaptions) -> list[ReadCaption]:
    texts = [caption.text for caption in captions]
    parses = parse(texts)
    if len(parses) != len(texts):
        raise InternalError(f"the parser gave {len(parses)} results for {len(texts)} captions")
    return [read_caption(one, text) for one, text in zip(parses, texts, strict=True)]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _must_exist(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BadInputError(f"{path}: no such file; give {expected}")
