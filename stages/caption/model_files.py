"""Where a captioner's files are, what they are (by digest), and whether they may be loaded."""

import hashlib
from pathlib import Path

from schemas import UserError

_BUILTIN_FOLDER = Path(__file__).parent / "builtin"

# What loading a model reads. Other files (a README, pickled weights) change nothing, so they do not count.
_READ = {".json", ".txt", ".safetensors"}


def model_source(model: str) -> str:
    """Where the model named in a job is loaded from: a folder, or a name on the hub. `builtin` is a folder of ours."""
    return str(_BUILTIN_FOLDER) if model == "builtin" else model


def folder_digest(folder: str) -> str:
    """Hex sha256 over the names and contents of a local model's files; where the folder lies does not matter.

    Raises:
        UserError: if the folder has no `config.json` or no safetensors weights.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in _READ and path.is_file())
    names = {path.name for path in files}
    if "config.json" not in names:
        raise UserError(f"caption.model: {folder} has no config.json; give the folder that save_pretrained wrote")
    if not any(path.suffix == ".safetensors" for path in files):
        pickled = sorted(path.name for path in Path(folder).iterdir() if path.suffix in {".bin", ".pt", ".pth"})
        found = f"only {', '.join(pickled)}" if pickled else "no weights"
        raise UserError(
            f"caption.model: {folder} holds {found}, but Relmill loads .safetensors alone, because other weight files "
            f"can run code; convert the model with save_pretrained(..., safe_serialization=True) where you trust it"
        )
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    return digest.hexdigest()
