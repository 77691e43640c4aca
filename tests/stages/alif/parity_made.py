"""Loads the parity fixtures: tensors computed with the published code, and the weights it was run with.

The fixtures lie in the folder `parity` of the test data, one folder each. Weights are never stored: a `*.spec.json`
lists keys and shapes, and `weight_recipe.py` beside the fixtures makes the values, the same on every computer.

Usage::

    for folder in fixtures(test_data, "F1_ms_deform_attn"):
        given = tensors(folder / "F1.safetensors")
        module = MultiScaleDeformableAttention(256, num_heads=8, num_levels=4, num_points=4)
        load(module, spec_values(folder / "F1.spec.json"), NAMES)
"""

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stages.alif.build import build_model
from stages.alif.checkpoint import fill
from stages.alif.convert import convert
from stages.alif.model import AlifModel

Names = Iterable[tuple[str, str]]


def fixtures(test_data: Path, prefix: str) -> list[Path]:
    """The fixture folders whose path below `parity` begins with `prefix`, sorted; skips the test if there is none.

    A fixture folder is one that holds `*.safetensors`. `"F1_ms_deform_attn"` finds `F1_ms_deform_attn` and
    `F1_ms_deform_attn_held`, `"F5_full_model/pda_"` finds `F5_full_model/pda_dev` and `F5_full_model/pda_held`.
    """
    parity = test_data / "parity"
    found = sorted({path.parent for path in parity.rglob("*.safetensors")})
    chosen = [folder for folder in found if folder.relative_to(parity).as_posix().startswith(prefix)]
    if not chosen:
        pytest.skip(f"no parity fixtures {prefix}* in {parity}")
    return chosen


def one_file(folder: Path, pattern: str) -> Path:
    """The only file in `folder` whose name matches `pattern`, as in `one_file(folder, "*.spec.json")`."""
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder}: expected one {pattern}, found {found}"
    return found[0]


def tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors` file, by name."""
    return load_file(path)


def spec_values(path: Path) -> dict[str, Tensor]:
    """The weights that a `*.spec.json` describes: published key, also every alias, to a float32 tensor."""
    spec = json.loads(path.read_text(encoding="utf-8"))
    parity = next(folder for folder in path.parents if (folder / "weight_recipe.py").is_file())
    values = _weight_recipe(parity).expand(spec)
    return {key: torch.from_numpy(value) for key, value in values.items()}


def load(module: nn.Module, values: Mapping[str, Tensor], names: Names) -> None:
    """Put published weights into a module of ours, every one and into every place, and switch it to evaluation.

    Args:
        module: the module to fill. Changed in place.
        values: published key to tensor.
        names: lines (regular expression on the whole published key, our key). The first line that matches counts;
            `\\1` is the first group. An empty replacement says that we have no counterpart, on purpose.

    Raises:
        AssertionError: if a key matches no line, if two different tensors go to one place, if a key of ours stays
            unset, or if a shape differs.
    """
    state = translated(values, names)
    own = module.state_dict(keep_vars=True)
    unknown = sorted(state.keys() - own.keys())
    assert not unknown, f"no such key in {type(module).__name__}: {unknown}"
    filled = {id(own[key]) for key in state}  # one shared tensor under two names is filled through either
    unset = sorted(key for key, tensor in own.items() if id(tensor) not in filled)
    assert not unset, f"keys of {type(module).__name__} that got no weights: {unset}"
    wrong = {
        key: (tuple(state[key].shape), tuple(own[key].shape)) for key in state if state[key].shape != own[key].shape
    }
    assert not wrong, f"shapes (published, ours) differ: {wrong}"
    module.load_state_dict(state, strict=False)
    module.eval()


def converted_model(values: Mapping[str, Tensor]) -> AlifModel:
    """The network that a published checkpoint of these weights is, faults included, in evaluation mode."""
    converted = convert(values, where="fixture", published=True)
    model = build_model(converted.config)
    fill(model, converted.state, where="fixture")
    return model.eval()


def translated(values: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """The same tensors under our keys; see `load` for the lines of `names`."""
    lines = [(re.compile(pattern), replacement) for pattern, replacement in names]
    state: dict[str, Tensor] = {}
    for key, tensor in values.items():
        match, replacement = next(
            ((found, text) for pattern, text in lines if (found := pattern.fullmatch(key))), (None, "")
        )
        assert match is not None, f"the published key {key} matches no line of the names"
        ours = match.expand(replacement)
        if not ours:
            continue
        assert ours not in state or torch.equal(state[ours], tensor), f"two different tensors for {ours}: {key} is one"
        state[ours] = tensor
    return state


def difference(result: Tensor, expected: Tensor) -> float:
    """The greatest absolute difference; also checks that the shapes agree and that all is finite."""
    assert result.shape == expected.shape, f"shape {tuple(result.shape)}, expected {tuple(expected.shape)}"
    assert bool(torch.isfinite(result).all()), "the result is not finite"
    return float((result.detach().double() - expected.detach().double()).abs().max())


@lru_cache
def _weight_recipe(parity: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("weight_recipe", parity / "weight_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
