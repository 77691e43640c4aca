"""The documentation is true: its error texts, job files, commands, metrics and programs."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
FAILURES = ROOT / "docs" / "when-it-fails.md"
SHARDS = ROOT / "docs" / "tasks" / "read-the-shards.md"
HOLE = "…"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def messages() -> Iterator[str]:
    """Every text in our sources, with a hole for each value that is put in, and the Makefile's."""
    for room in ("schemas", "stages", "pipeline"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(part.value if isinstance(part, ast.Constant) else HOLE for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
    yield (ROOT / "Makefile").read_text(encoding="utf-8")


MESSAGES = list(messages())
# Raised by PyTorch, not by us.
FOREIGN = {"CUDA out of memory"}
TITLES = re.findall(r"^### `(.*)`$", FAILURES.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("title", [title for title in TITLES if title not in FOREIGN])
def test_an_error_text_of_the_troubleshooting_page_is_one_of_ours(title: str) -> None:
    # A hole of the page may stand for any text; what is between the holes is verbatim.
    parts = title.split(HOLE)
    assert any(has_in_order(message, parts) for message in MESSAGES), f"no message reads like this: {title}"


def has_in_order(text: str, parts: list[str]) -> bool:
    """Whether all parts stand in a text, one after the other."""
    end = 0
    for part in parts:
        place = text.find(part, end)
        if place < 0:
            return False
        end = place + len(part)
    return True


def test_the_troubleshooting_page_is_not_empty() -> None:
    assert len(TITLES) > 20


def jobs() -> Iterator[Any]:
    for path in PAGES:
        for number, text in enumerate(blocks(path, "yaml")):
            document = yaml.safe_load(text)
            yield pytest.param(document, id=f"{name_of(path)}-{number}")


@pytest.mark.parametrize("document", jobs())
def test_a_job_file_of_the_documentation_is_valid(document: dict[str, Any]) -> None:
    """Also the parts: what they leave out is filled in. Some are of `relmill train`, some of `relmill run`."""
    from schemas.job import RunJob, build_job, build_train_job

    if {"label", "train"} <= document.keys():
        RunJob.model_validate(document)
        return
    if "sources" in document:
        build_train_job(document)
        return
    complete = {"dataset": {"format": "scenes"}, "output": "out", **document}
    build_job(complete)


def commands() -> Iterator[Any]:
    for path in PAGES:
        for text in blocks(path, "sh"):
            for line in text.splitlines():
                if found := re.match(r"(?:\S*/)?relmill (\S.*?)(?:\s+#.*)?$", line):
                    yield pytest.param(found.group(1).split(), id=f"{name_of(path)}: {found.group(1)}")


@pytest.mark.parametrize("words", commands())
def test_a_command_of_the_documentation_exists_with_its_options(words: list[str]) -> None:
    import typer

    from pipeline.cli import app

    name, command, rest = "relmill", typer.main.get_command(app), words
    while known := getattr(command, "commands", None):  # `relmill evaluate parse` is a command in a command
        assert rest, f"{name} alone does nothing; it has {sorted(known)}"
        assert rest[0] in known, f"{name} has no {rest[0]}; it has {sorted(known)}"
        name, command, rest = f"{name} {rest[0]}", known[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("-"):
            assert word in options, f"{name} has no {word}; it has {sorted(options)}"


def test_the_metrics_of_the_documentation_are_served() -> None:
    from prometheus_client import CollectorRegistry, generate_latest

    from pipeline import metrics
    from pipeline.meter import Meter

    registry = CollectorRegistry()
    registry.register(metrics._Collector(Meter(stage_names=("screen",), num_records=1)))
    served = set(re.findall(r"^(relmill_\w+)[ {]", generate_latest(registry).decode(), re.MULTILINE))
    page = (ROOT / "docs" / "tasks" / "watch-a-run.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(relmill_\w+)", page, re.MULTILINE))
    assert documented == {name for name in served if not name.endswith("_created")}


def test_the_job_keys_of_the_blip_page_exist() -> None:
    from schemas.job import BlipCaptions

    page = (ROOT / "docs" / "tasks" / "caption-with-blip.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.*?`) \| (.*?) \|", page, re.MULTILINE)
    for keys, defaults in table:
        for key, default in zip(re.findall(r"`(\w+)`", keys), defaults.split(", "), strict=True):
            assert str(BlipCaptions.model_fields[key].default) == default.strip("`"), key


# The programs of "Read the shards", run on a small output


@pytest.fixture(scope="module")
def small_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `out` is a finished output of eight drawn scenes."""
    from pipeline.label import label, prepare
    from schemas.job import build_job

    folder = tmp_path_factory.mktemp("docs")
    document = {"dataset": {"format": "scenes", "count": 8}, "output": "out", "unit_size": 4}
    assert label(prepare(build_job(document, base=folder)), quiet=True).sealed
    return folder


@pytest.mark.parametrize("number", range(len(blocks(SHARDS, "python"))))
def test_a_program_that_reads_shards_runs(
    small_output: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = blocks(SHARDS, "python")
    for module in re.findall(r"^(?:import|from) (webdataset|datasets|duckdb)", programs[number], re.MULTILINE):
        pytest.importorskip(module)
    monkeypatch.chdir(small_output)
    namespace: dict[str, Any] = {}
    exec(compile(textwrap.dedent(programs[0]), "read-the-shards.md", "exec"), namespace)
    exec(compile(textwrap.dedent(programs[number]), "read-the-shards.md", "exec"), namespace)
    if number == 0:
        assert len(namespace["files"]("out", "shard")) == 2
    else:
        assert capsys.readouterr().out.strip()


def test_the_program_of_the_evaluation_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks(ROOT / "docs" / "tasks" / "evaluate.md", "python")
    exec(compile(program, "evaluate.md", "exec"), {})
    assert capsys.readouterr().out == "1.0\n"


def convention_tables() -> Iterator[Any]:
    from stages.evaluate import hicodet, openimages, openimages_triplets, scene_graph, vcoco
    from stages.evaluate.label_score import LabelConventions

    page = (ROOT / "docs" / "tasks" / "evaluate.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| (?:convention.*|`--convention`.*)\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    modules = (hicodet, vcoco, openimages, openimages_triplets, scene_graph)
    for module, table in zip(modules, tables[:-1], strict=True):
        presets: Any = module.PRESETS
        yield pytest.param(table, presets["official"], presets["corrected"], id=module.__name__)
    yield pytest.param(tables[-1], LabelConventions(), None, id="labels")


@pytest.mark.parametrize(("table", "official", "corrected"), convention_tables())
def test_the_conventions_of_the_evaluation_page_are_the_evaluators(table: str, official: Any, corrected: Any) -> None:
    import dataclasses

    documented = {}
    for line in table.splitlines():
        name, *values = (cell.strip().strip("`") for cell in line.strip("|").split("|"))
        documented[name] = (values[0], values[1] if corrected is not None else "")
    expected = {}
    for field in dataclasses.fields(official):
        default = str(getattr(official, field.name))
        mended = default if corrected is None else str(getattr(corrected, field.name))
        expected[field.name] = (default, "" if mended == default else mended)
    assert documented == expected
