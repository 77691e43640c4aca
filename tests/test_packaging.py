"""What the distribution promises: its data files, its version, its schema file, its licence."""

import json
import tomllib
from importlib.metadata import distribution, entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest

from schemas import scene_json_schema

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("schemas", "stages", "pipeline")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA = sorted(
    path.relative_to(ROOT)
    for room in ROOMS
    for path in (ROOT / room).rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc"}
)


def test_the_installed_version_is_the_projects() -> None:
    assert version("relmill") == PROJECT["project"]["version"]


def test_the_command_is_installed() -> None:
    (command,) = [entry for entry in entry_points(group="console_scripts") if entry.name == "relmill"]
    assert callable(command.load())


PACKAGE_DATA = PROJECT["tool"]["setuptools"]["package-data"]


def whole_folder(path: Path) -> Path | None:
    """The folder of a package that travels whole ("builtin/**"), if the file lies in one."""
    for package, patterns in PACKAGE_DATA.items():
        for pattern in patterns:
            folder = Path(*package.split(".")) / pattern.removesuffix("/**")
            if pattern.endswith("/**") and folder in path.parents:
                return folder
    return None


@pytest.mark.parametrize("path", DATA, ids=str)
def test_data_files_are_found_as_package_resources(path: Path) -> None:
    package = (whole_folder(path) or path).parent
    resource = files(".".join(package.parts)).joinpath(*path.relative_to(package).parts)
    assert resource.read_bytes() == (ROOT / path).read_bytes()


@pytest.mark.parametrize("path", DATA, ids=str)
def test_data_files_travel_in_the_wheel(path: Path) -> None:
    named = any(path.match(pattern) for pattern in PACKAGE_DATA["*"])
    assert named or whole_folder(path), f"{path}: add its ending to package-data in pyproject.toml"


@pytest.mark.parametrize("folder", sorted({(whole_folder(path) or path).parent for path in DATA}), ids=str)
def test_folders_with_data_are_packages(folder: Path) -> None:
    assert (ROOT / folder / "__init__.py").is_file(), (
        f"{folder} holds data but no __init__.py, so no wheel takes it along"
    )


@pytest.mark.parametrize("room", ROOMS)
def test_the_packages_are_typed(room: str) -> None:
    assert files(room).joinpath("py.typed").is_file()


def test_the_schema_file_is_the_schema() -> None:
    stored = json.loads(files("schemas").joinpath("scene.schema.json").read_text(encoding="utf-8"))
    assert stored == scene_json_schema(), "write it anew: relmill schema scene > schemas/scene.schema.json"


def test_the_licence_is_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(requirement.name): requirement
        for line in lines
        if line and not line.startswith("#")
        for requirement in [Requirement(line)]
    }
    groups = [*PROJECT["project"]["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()]
    for group in [PROJECT["project"]["dependencies"], *groups]:
        for requirement in map(Requirement, group):
            pin = pins.get(canonicalize_name(requirement.name))
            assert pin is not None, f"{requirement.name} is not in constraints.txt"
            (exact,) = pin.specifier
            assert exact.operator == "=="
            assert requirement.specifier.contains(exact.version), f"constraints.txt has {pin}, pyproject {requirement}"


def test_the_distribution_is_described() -> None:
    metadata = distribution("relmill").metadata
    assert metadata["Summary"]
    assert metadata["Requires-Python"] == ">=3.11"
