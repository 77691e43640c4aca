"""The house rules: imports point one way, rooms have names, public faces are true."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("schemas", "stages", "pipeline")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PACKAGES = [path for path in SOURCES if path.name == "__init__.py"]
# Costly to import; a job that does not use them must not wait for them, nor need them installed.
HEAVY = {"torch", "transformers", "spacy", "scipy", "sklearn", "duckdb", "fastapi", "uvicorn"}
# What a network is made of; its modules are classes of these libraries, so they are imported at the top there.
NETWORK_LIBRARIES = {"torch", "transformers"}
NETWORK_FOLDERS = {
    ROOT / "stages" / "alif",
    ROOT / "stages" / "caption" / "training",
    ROOT / "stages" / "pretrain" / "training",
    ROOT / "stages" / "training",
}
NETWORK_PACKAGES = ("stages.alif", "stages.caption.training", "stages.pretrain.training", "stages.training")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_network(path: Path) -> bool:
    return not NETWORK_FOLDERS.isdisjoint(path.parents)


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of every import, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write the full name"
            yield node.lineno, node.module or ""


def top_level_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports that run when the module is imported: none inside functions or `if TYPE_CHECKING`."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported_modules(node)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    ours = {*ROOMS, "tests", "benchmarks"}
    for line, module in imported_modules(ast.parse(path.read_text(encoding="utf-8"))):
        top = module.split(".")[0]
        assert top not in ours - allowed, (
            f"{name_of(path)}:{line} imports {module}; {room}/ may import {sorted(allowed)}"
        )
        assert top != "ray" or room == "pipeline", f"{name_of(path)}:{line} imports ray; only pipeline/ may"


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.relative_to(ROOT).parts[0] != "pipeline"], ids=name_of
)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    heavy = HEAVY - NETWORK_LIBRARIES if is_network(path) else HEAVY
    for line, module in top_level_imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert module.split(".")[0] not in heavy, f"{name_of(path)}:{line} imports {module} at the top of the module"


@pytest.mark.parametrize("path", [path for path in SOURCES if not is_network(path)], ids=name_of)
def test_the_network_is_imported_where_it_is_used(path: Path) -> None:
    """Its modules are PyTorch's, so to import it is to import PyTorch."""
    for line, module in top_level_imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert not module.startswith(NETWORK_PACKAGES), (
            f"{name_of(path)}:{line} imports {module} at the top of the module"
        )


def test_no_room_is_called_utils() -> None:
    bad = {"utils", "util", "helpers", "helper", "common", "misc"}
    found = [name_of(path) for path in SOURCES if path.stem in bad or path.parent.name in bad]
    assert not found, f"{found}: name a module after what it holds"


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_every_exported_name_exists(path: Path) -> None:
    module = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
    exported = getattr(module, "__all__", [])
    missing = [name for name in exported if not hasattr(module, name)]
    assert not missing, f"{name_of(path)}: __all__ names {missing}, which do not exist"
    assert list(exported) == sorted(set(exported), key=list(exported).index), f"{name_of(path)}: a name is listed twice"


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_a_package_exports_what_it_imports_of_ours(path: Path) -> None:
    """`__init__.py` is the public face: what it takes from its own modules, it shows."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ".".join(path.parent.relative_to(ROOT).parts)
    own = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.")
        for alias in node.names
    ]
    doors = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    exported = set(getattr(importlib.import_module(package), "__all__", []))
    assert {name for name in doors if not name.startswith("_")} <= exported
    if not doors:  # a door that is defined here (`open_captioner`) may use parts that it does not show
        assert set(own) <= exported


def test_importing_the_command_is_cheap() -> None:
    """`relmill --help` must not load ray, torch, spaCy or scipy."""
    import subprocess

    code = "import sys, pipeline.cli; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"ray", *HEAVY} & set(result.stdout.split())
