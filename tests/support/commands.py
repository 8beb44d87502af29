"""Commands of `revshare` run in this process, which is quicker than a new one for each."""

from collections.abc import Mapping

from typer.testing import CliRunner, Result

from api.cli.app import app


def invoke(env: Mapping[str, str], *arguments: str) -> Result:
    """Run a command to its end in an environment. Its answers are in `stdout`, the rest in `stderr`."""
    return CliRunner().invoke(app, list(arguments), env=dict(env), catch_exceptions=False)
