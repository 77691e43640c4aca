"""What the audit page's server answers: the page, a sample's items and pictures, and verdicts."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.audit.desk import Desk
from pipeline.audit.guard import LOOPBACK_NAMES, App, Guard
from schemas import ConflictError, RelmillError, StorageError, TransientError, UserError
from schemas.audit import Judgement

PAGE_FILES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "calls.js": "text/javascript; charset=utf-8",
    "elements.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "labels.js": "text/javascript; charset=utf-8",
    "picture.js": "text/javascript; charset=utf-8",
    "trace.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Beside `index.html`, all that is served of the page's folder, with what it is."""

TOKEN_PLACE = "{{ token }}"  # noqa: S105 - where it goes

_STATUS: dict[type[RelmillError], int] = {
    ConflictError: HTTPStatus.CONFLICT,
    UserError: HTTPStatus.BAD_REQUEST,
    StorageError: HTTPStatus.INSUFFICIENT_STORAGE,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""By kind of error, the narrower before the wider; of any other, 500."""


class Entrance(BaseModel):
    """Somebody sits down."""

    model_config = ConfigDict(extra="forbid", strict=True)

    auditor: str


class Saying(BaseModel):
    """Somebody judges an item, or takes back what they said."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sample: str
    auditor: str
    item: int
    judgement: Judgement | None
    note: str = ""


def build_app(desk: Desk, *, token: str, names: Iterable[str] = LOOPBACK_NAMES, any_address: bool = False) -> App:
    """The server of the audit page as an ASGI application.

        GET /                the page, with the token in it
        GET /page.css, ...   its files
        GET /sample          what is judged, and by whom
        GET /item/3          item 3 with its trace
        GET /image/3         its picture
        POST /enter          an auditor sits down: what they are to judge, and what they said so far
        POST /verdict        they judge, or take back; the answer comes when it is on the disk

    Every refused request gets a line of JSON, `{"error": why}`.

    Args:
        desk: the sample.
        token: new at every start; POSTs must bring it.
        names: see `Guard`.
        any_address: see `Guard`.
    """
    from fastapi import FastAPI, HTTPException
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, Response
    from starlette.exceptions import HTTPException as AnyHTTPException

    # Its own documentation pages fetch scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    def item(number: int) -> Any:
        try:
            return desk.item(number)
        except KeyError:
            raise HTTPException(404, f"the sample has no item {number}") from None

    def image(number: int) -> Any:
        try:
            data, kind = desk.picture(number)
        except KeyError:
            raise HTTPException(404, f"the sample has no item {number}") from None
        # For the page's looking ahead. Its address there has the sample's digest, so no picture is taken for another.
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=600"})

    def enter(entrance: Entrance) -> Any:
        return desk.enter(entrance.auditor)

    def verdict(saying: Saying) -> Any:
        return desk.judge(saying.sample, saying.auditor, saying.item, saying.judgement, saying.note)

    def fixed(data: bytes, kind: str) -> Callable[[], Any]:
        return lambda: Response(data, headers={"content-type": kind, "cache-control": "no-cache"})

    page = files("pipeline.audit").joinpath("page")
    index = page.joinpath("index.html").read_text(encoding="utf-8").replace(TOKEN_PLACE, token)
    app.add_api_route("/", fixed(index.encode(), "text/html; charset=utf-8"))
    for name, kind in PAGE_FILES.items():
        app.add_api_route(f"/{name}", fixed(page.joinpath(name).read_bytes(), kind))
    app.add_api_route("/sample", desk.facts)
    app.add_api_route("/item/{number}", item)
    app.add_api_route("/image/{number}", image)
    app.add_api_route("/enter", enter, methods=["POST"])
    app.add_api_route("/verdict", verdict, methods=["POST"])

    def refused(status: int, reason: str) -> Any:
        # A reason may name what was sent, which may be half of a character.
        text = " ".join(reason.split()).encode("utf-8", "replace").decode()
        return JSONResponse({"error": text}, status)

    def on_http(_: Any, error: Any) -> Any:
        return refused(error.status_code, str(error.detail))

    def on_invalid(_: Any, error: Any) -> Any:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{where}: {first['msg']}")

    def on_ours(_: Any, error: RelmillError) -> Any:
        return refused(next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500), str(error))

    def on_any(_: Any, error: Exception) -> Any:
        return refused(HTTPStatus.INTERNAL_SERVER_ERROR, f"a bug in Relmill ({error!r}); please report it")

    app.add_exception_handler(AnyHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(RelmillError, on_ours)
    app.add_exception_handler(Exception, on_any)
    return Guard(app, names=names, any_address=any_address, token=token)
