"""What a network sees on a picture, for a person: a table, and a drawing."""

import contextlib
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.inspect.inspection import clean
from pipeline.local_files import replace_bytes
from pipeline.show.graph import draw_graph
from schemas import Region, Scene, StorageError


def triplet_table(scene: Scene, *, colour: bool | None = None) -> str:
    """The relations of a scene, best first, a row each; `colour` by default only if stdout is a terminal."""
    colour = sys.stdout.isatty() if colour is None else colour
    console = Console(file=io.StringIO(), force_terminal=colour, width=10_000, highlight=False, emoji=False)
    head = Text.assemble((clean(scene.key), "bold"), f"  {scene.image.width} x {scene.image.height}")
    console.print(head, soft_wrap=True)
    regions = {region.id: region for region in scene.regions}
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("score", justify="right")
    for column in ("subject", "predicate", "object", "subject at", "object at"):
        table.add_column(column)
    for relation in sorted(scene.relations, key=lambda relation: -relation.score):
        subject, object_ = regions[relation.subject], regions[relation.object]
        predicate = Text(clean(relation.predicate), "bold cyan")
        table.add_row(
            f"{relation.score:.3f}", _name(subject), predicate, _name(object_), _place(subject), _place(object_)
        )
    console.print(table if scene.relations else Text("  no relation"))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


class Drawings:
    """A folder of drawings, one a scene: `horse.graph.png`, and `horse.graph-2.png` for another `horse`.

    The ending keeps a drawing from taking the place of the picture itself.

    Raises:
        StorageError: if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drawn: Counter[str] = Counter()
        with self._told(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def draw(self, scene: Scene) -> None:
        """Draw a scene with its graph.

        Raises:
            StorageError: if it cannot be written.
        """
        stem = PurePosixPath(scene.key).stem
        self._drawn[stem] += 1
        again = f"-{self._drawn[stem]}" if self._drawn[stem] > 1 else ""
        path = self._folder / f"{stem}.graph{again}.png"
        data = io.BytesIO()
        draw_graph(scene).save(data, "PNG")
        with self._told(path):
            replace_bytes(path, data.getvalue())

    @contextlib.contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror or error}; give another --draw") from error


def _name(region: Region) -> Text:
    return Text(f"{clean(region.name)}#{region.id}")


def _place(region: Region) -> Text:
    return Text(f"[{', '.join(f'{value:.0f}' for value in region.box)}]", "dim")
