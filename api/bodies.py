"""Bodies in: read once with a limit, then parsed as strictly as JSON can be."""

import json
from typing import Any, Final, NoReturn

import falcon

from api.problems import HttpProblem

_CHUNK: Final = 64 * 1_024


def read_body(req: falcon.Request, bytes_max: int) -> bytes:
    """The whole body. Refuses more than `bytes_max` before it is in memory."""
    announced = req.content_length
    if announced is not None and announced > bytes_max:
        raise too_large(bytes_max)
    if req.get_header("Content-Encoding", default="identity").lower() != "identity":
        raise HttpProblem("unsupported-media-type", "the body must not be compressed (Content-Encoding)")
    if announced is None and not req.env.get("wsgi.input_terminated"):
        return b""
    stream = req.bounded_stream if announced is not None else req.stream  # a chunked body ends by itself
    parts: list[bytes] = []
    length = 0
    while part := stream.read(min(_CHUNK, bytes_max + 1 - length)):
        parts.append(part)
        length += len(part)
        if length > bytes_max:
            raise too_large(bytes_max)
    if announced is not None and length < announced:
        raise HttpProblem("unreadable-body", "the body is shorter than its Content-Length")
    return b"".join(parts)


def too_large(bytes_max: int) -> HttpProblem:
    """The refusal of a body that is over its limit."""
    return HttpProblem("too-large", f"the body may have {bytes_max} bytes at the most")


def media_type(req: falcon.Request) -> str:
    """The content type without its parameters, in small letters. A charset must be UTF-8."""
    kind, _, parameters = (req.content_type or "").partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise HttpProblem("unsupported-media-type", "text must be in UTF-8")
    return kind.strip().lower()


def check_media_type(req: falcon.Request, taken: tuple[str, ...]) -> str:
    """The content type, which must be one of those taken."""
    found = media_type(req)
    if found not in taken:
        said = f"{found} is not taken here" if found else "Content-Type is missing"
        raise HttpProblem("unsupported-media-type", f"{said}; send {' or '.join(taken)}")
    return found


def parse_json(raw: bytes) -> Any:
    """A JSON document. Refuses broken UTF-8, NaN, a name that stands twice, half a surrogate pair."""
    if not raw.strip():
        raise HttpProblem("missing-body", "this request needs a JSON document")
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise HttpProblem("unreadable-body", f"the body is no UTF-8 (byte {error.start})") from None
    except UnicodeEncodeError:
        raise HttpProblem("unreadable-body", "the body has half a surrogate pair") from None
    except ValueError as error:
        raise HttpProblem("unreadable-body", f"the body is no JSON: {error}") from None
    return value


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object."""
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise HttpProblem(
            "invalid-field", "the body must be an object", [{"pointer": "", "detail": "must be an object"}]
        )
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
