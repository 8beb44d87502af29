"""What the commands share that ask the API with one's own key."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from api.cli.client import Client, Refused, Unreachable
from api.cli.parts import settings
from api.cli.terminal import EXIT_USAGE, fail

_PATIENCE_S: Final = 30

Url = Annotated[str | None, typer.Option(envvar="REVSHARE_URL", help="Default: the local server.")]
Key = Annotated[
    str, typer.Option(envvar="REVSHARE_API_KEY", help="Your API key: it says who drafts and who approves.")
]


def client_of(url: str | None, key: str) -> Client:
    """A client with the key; without one the command ends, and says how to get one."""
    if not key:
        fail("no API key", code=EXIT_USAGE, hint="set REVSHARE_API_KEY, or make one: revshare keys issue")
    return Client(url or settings().base_url, key, patience_s=_PATIENCE_S)


def asked(ask: Callable[[], Any]) -> dict[str, Any]:
    """The answer; a refusal, or a server that stays away, ends the command with its reason."""
    try:
        answer: dict[str, Any] = ask()
    except (Refused, Unreachable) as error:
        fail(str(error))
    return answer
