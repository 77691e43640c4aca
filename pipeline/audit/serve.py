"""`relmill audit serve`: the page on which people judge a sample, on a port of this machine."""

import contextlib
import ipaddress
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from pipeline.audit.desk import Desk
from pipeline.audit.guard import LOOPBACK_NAMES
from pipeline.audit.server import build_app
from schemas import UserError
from stages.optional import require_audit

# What is under way when the server is told to end gets so long.
_LAST_ANSWERS_S = 2


def serve(
    sample: Path,
    *,
    auditor: str | None,
    host: str,
    port: int,
    open_page: bool,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Serve a sample until interrupted. What was judged is on the disk at any time, however this ends.

    Args:
        auditor: who judges; None lets each say who they are.
        host: address or name to listen on.
        port: 0 takes a free one.
        open_page: open a browser on it.
        say: gets a line once the page can be opened, with its address.
        warn: gets a line if others than this machine can reach it.

    Raises:
        UserError: if something is not installed, the sample or its output is gone, or the address cannot be had.
    """
    require_audit("relmill audit serve", "fastapi", "uvicorn")
    import uvicorn

    with contextlib.closing(Desk(sample, auditor=auditor)) as desk, _listening(host, port) as listener:
        port = listener.getsockname()[1]
        names, local = list(LOOPBACK_NAMES), _is_loopback(host)
        if not local:
            names += [host, socket.gethostname(), socket.getfqdn()]
            warn(
                f"listening on {host}: whoever can reach this machine there sees these pictures and can judge them; "
                f"without --host only this machine can"
            )
        app = build_app(desk, token=secrets.token_hex(16), names=names, any_address=not local)
        address = f"http://{_typed(host)}:{port}/"
        say(f"{desk.sample.num_items} items of {desk.sample.output}: judge them at {address} (Ctrl-C ends)")
        if open_page:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{host}:{port}: cannot listen there ({reason}); give another --port, 0 for any that is free, or --host"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _typed(host: str) -> str:
    """The host as it is typed into a browser."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host
