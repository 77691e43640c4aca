"""`relmill inspect`: look into an output folder or one shard, trusting neither."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.inspect.find_scene import absent_key, find_row
from pipeline.inspect.inspection import Inspection
from pipeline.inspect.shard_file import ShardFile, open_shard_file
from pipeline.report.sample import committed_scene, sample_output, spread
from pipeline.show.draw import draw_scene
from schemas import BadInputError, RelmillError, Scene, UserError
from stages.pack import CommitLog, Layers, read_dataset_file
from stages.storage import Folder

_SAMPLE_SCENES = 200
_THREADS = 8


def inspect_output(target: str, *, keys: Sequence[str] = (), num: int = 3, draw: Path | None = None) -> Inspection:
    """Look into an output folder (path or URL), or into one `.tar` shard on this machine.

    Counts come from the log, classes and predicates from a sample of at most 200 scenes, so an output of any size
    takes seconds. Damage that the sample meets is listed in `problems`; scenes asked for by key must be whole.

    Args:
        keys: show these scenes, with everything in them.
        num: without keys, show so many scenes, evenly spread.
        draw: draw the first scene shown to this PNG.

    Raises:
        BadInputError: if the target is no output or shard, is damaged so that nothing can be shown, or has no such key.
        UserError: if there is no scene to draw, or the PNG cannot be written.
    """
    if target.endswith(".tar"):
        if "://" in target:
            raise BadInputError(
                f"{target}: a single shard is read from this machine only; fetch it, or give its output"
            )
        inspection = _inspect_shard(open_shard_file(Path(target)), keys, num, pixels=draw is not None)
    else:
        inspection = _inspect_folder(Folder(target), keys, num, pixels=draw is not None)
    if draw is not None:
        _draw(inspection, draw)
    return inspection


def _inspect_folder(folder: Folder, keys: Sequence[str], num: int, *, pixels: bool) -> Inspection:
    document = read_dataset_file(folder)
    last = CommitLog(folder).last()
    facts: dict[str, Any] = {
        "job": str(document["job"]),
        "sealed": False,
        "commits": 0,
        "counts": "nothing committed yet",
    }
    if last is not None:
        counts = asdict(last.totals)
        reasons = counts.pop("reasons")
        facts |= {"sealed": last.sealed, "commits": last.number + (0 if last.sealed else 1), "counts": counts}
        facts |= {"balanced": last.totals.balanced(), "reasons": reasons}

    layers, damage = _layers(folder)
    if layers.number:
        facts["layers"] = layers.counts()
    sample = sample_output(folder, seed=str(document["job"]), num_scenes=_SAMPLE_SCENES)

    def read(row: dict[str, Any]) -> tuple[Scene | None, str | None]:
        try:
            return committed_scene(folder, row, pixels=False, layers=layers), None
        except (RelmillError, PermissionError) as error:
            return None, str(error)

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(read, sample.rows))
    rows = [row for row, (scene, _) in zip(sample.rows, found, strict=True) if scene is not None]
    scenes = [scene for scene, _ in found if scene is not None]
    problems = list(dict.fromkeys([*damage, *sample.problems, *(problem for _, problem in found if problem)]))
    if keys:
        known = [row["key"] for row in sample.rows]
        wanted = [find_row(folder, key, known=lambda: known) for key in keys]
        shown = [committed_scene(folder, row, layers=layers) for row in wanted]
    else:
        if problems and not scenes:
            raise BadInputError(problems[0])
        wanted = [rows[i] for i in spread(len(rows), num, seed="show")]
        shown = [committed_scene(folder, row, pixels=pixels, layers=layers) for row in wanted]
    return _inspection(str(folder), "output", facts, scenes, shown, full=bool(keys), problems=problems)


def _layers(folder: Folder) -> tuple[Layers, list[str]]:
    """What people said since; and, if that cannot be read, why not: the scenes are then shown as their shards are."""
    try:
        return Layers.of(folder), []
    except RelmillError as error:
        return Layers(str(folder)), [str(error)]


def _inspect_shard(shard: ShardFile, keys: Sequence[str], num: int, *, pixels: bool) -> Inspection:
    there = list(shard.jsons)
    absent = next((key for key in keys if key not in shard.jsons), None)
    if absent is not None:
        raise absent_key(str(shard.path), absent, num_keys=len(there), known=there)
    facts = {"bytes": shard.size, "counts": {"scenes": len(shard.jsons), "pictures": len(shard.images)}}
    scenes = [shard.scene(there[i], pixels=False) for i in spread(len(there), _SAMPLE_SCENES, seed="sample")]
    wanted = list(keys) or [there[i] for i in spread(len(there), num, seed="show")]
    shown = [shard.scene(key, pixels=pixels or bool(keys)) for key in wanted]
    return _inspection(str(shard.path), "shard", facts, scenes, shown, full=bool(keys), problems=shard.problems)


def _inspection(
    target: str,
    kind: str,
    facts: Mapping[str, Any],
    scenes: Sequence[Scene],
    shown: Sequence[Scene],
    *,
    full: bool,
    problems: Sequence[str],
) -> Inspection:
    asserted = [relation for scene in scenes for relation in scene.relations if relation.state == "asserted"]
    return Inspection(
        target=target,
        kind=kind,
        facts=facts,
        num_sampled=len(scenes),
        classes=_by_count(Counter(region.name for scene in scenes for region in scene.regions)),
        predicates=_by_count(Counter(relation.predicate for relation in asserted)),
        sources=_by_count(Counter(relation.source for relation in asserted)),
        scenes=shown,
        full=full,
        problems=problems,
    )


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _draw(inspection: Inspection, path: Path) -> None:
    if not inspection.scenes:
        raise UserError(f"--draw {path}: {inspection.target} has no scene to draw")
    picture = draw_scene(inspection.scenes[0], max_side=1024)
    try:
        picture.save(path, "PNG")
    except OSError as error:
        raise UserError(f"--draw {path}: cannot be written: {error.strerror or error}") from error
