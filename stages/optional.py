"""Libraries that an installation may lack, asked for before anything is spent."""

import importlib.util

from schemas import UserError


def require_torch(what: str) -> None:
    """Refuse to start without the libraries of networks.

    Args:
        what: names what needs them, for the message.

    Raises:
        UserError: naming what is missing and the install command.
    """
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{what} needs {' and '.join(missing)}, not installed here; run: pip install 'relmill[blip]'")


def require_audit(what: str, *libraries: str) -> None:
    """Refuse to start without libraries of the extra `audit`.

    Args:
        what: names what needs them, for the message.
        libraries: names of import packages.

    Raises:
        UserError: naming what is missing and the install command.
    """
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{what} needs {' and '.join(missing)}, not installed here; run: pip install 'relmill[audit]'")
