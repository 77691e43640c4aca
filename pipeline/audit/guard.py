"""Who may ask the audit page's server, and how.

The server listens on this machine alone, but every page that the auditor has open elsewhere can send requests to it,
too. So each request must name a host of ours (else a name that a stranger points at 127.0.0.1 would be our origin), and
each that writes must come from our own page, with the token that only its HTML has, and carry little JSON.
"""

import ipaddress
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "x-relmill-token"  # noqa: S105 - the name of a header
MOST_BODY = 32_768
"""Bytes of a request. A note of 2,000 characters, each escaped as 12 (a pair of surrogates), is 24,000."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""On every answer."""


class Guard:
    """An ASGI application before another: refuses what is not from our page, in one line of JSON."""

    def __init__(self, app: App, *, names: Iterable[str], any_address: bool, token: str) -> None:
        """
        Args:
            names: what the Host header may name, besides a port. (Any port: a tunnel has its own.)
            any_address: whether it may also be any numerical address. No stranger's page can have one of ours as its
                host, but which of ours a colleague types is not known beforehand.
            token: which requests that write must have in their header.
        """
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._any_address = any_address
        self._token = token.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                theirs = [
                    pair for pair in message.get("headers", []) if pair[0].lower().decode("latin-1") not in HEADERS
                ]
                message = {**message, "headers": [*theirs, *ours]}
            await send(message)

        headers = _Headers(scope["headers"])
        refusal = self._refusal(scope["method"], headers)
        if refusal is None and scope["method"] not in ("GET", "HEAD"):
            body = await _body(receive)
            if body is None:
                refusal = (413, f"the request is longer than {MOST_BODY} bytes")
            else:
                receive = _given(body, receive)
        if refusal is not None:
            await _answer(send_guarded, *refusal)
            return
        await self._app(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: "_Headers") -> tuple[int, str] | None:
        """Status and reason, or None for a request that may pass."""
        host = headers.only("host")
        if host is None or not self._ours(host):
            return 403, "the Host header does not name this server; open the address that it printed"
        if method in ("GET", "HEAD"):
            return None
        # Browsers send Origin with everything that is no GET; behind a tunnel it has the tunnel's port, like Host.
        if headers.only("origin") not in (f"http://{host}", f"https://{host}"):
            return 403, "the request does not come from this server's own page"
        if not secrets.compare_digest((headers.only(TOKEN_HEADER) or "").encode("latin-1"), self._token):
            return 403, "the token is not of this start of the server; load the page anew"
        kind = (headers.only("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return 415, "the content type is not application/json"
        return None

    def _ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        return name in self._names or (self._any_address and _is_address(name))


class _Headers:
    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in pairs]

    def only(self, name: str) -> str | None:
        """The value of a header that is there exactly once."""
        values = [value for found, value in self._pairs if found == name]
        return values[0] if len(values) == 1 else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _body(receive: Receive) -> bytes | None:
    """The whole body of a request; None if it is too long, of which the rest is not read."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read before, then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _answer(send: Send, status: int, reason: str) -> None:
    data = json.dumps({"error": reason}).encode() + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
