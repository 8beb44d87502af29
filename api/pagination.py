"""Pages: an opaque cursor, a limit, the address of the next page.

A cursor holds the sort key of the last row and a checksum over it and the list that it belongs to. It guards
nothing but against mistakes: what a caller may see is decided anew for each page.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import falcon
import msgspec

from api.answers import send
from api.problems import HttpProblem

_CHECK_BYTES: Final = 8


def write_cursor(path: str, key: Sequence[Any]) -> str:
    """The cursor after a row of the list at `path`."""
    body = msgspec.json.encode(list(key))
    return base64.urlsafe_b64encode(_check(path, body) + body).decode().rstrip("=")


def read_cursor(path: str, cursor: str) -> list[Any]:
    """The sort key within a cursor. Refuses what we did not write for this list."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        if check == _check(path, body):
            return msgspec.json.decode(body, type=list[Any])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        pass
    raise bad_cursor()


def bad_cursor() -> HttpProblem:
    """The refusal of a cursor that is none of ours."""
    return HttpProblem(
        "invalid-cursor",
        "the cursor is none that this list gave",
        [{"pointer": "/cursor", "detail": "follow `next` as it is"}],
    )


def _check(path: str, body: bytes) -> bytes:
    return hashlib.blake2b(path.encode() + b"\0" + body, digest_size=_CHECK_BYTES).digest()


def send_page(
    req: falcon.Request, resp: falcon.Response, items: list[Any], next_key: Sequence[Any] | None
) -> None:
    """Answer with one page; `next` (in the body and as a Link) is the address of the one after it."""
    following = None
    if next_key is not None:
        cursor = write_cursor(req.path, next_key)
        query = {name: value for name, value in req.params.items() if name != "cursor"}
        following = req.path + falcon.to_query_str({**query, "cursor": cursor})
        resp.append_link(following, "next")
    send(resp, {"items": items, "next": following})
