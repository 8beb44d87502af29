"""The command line `revshare`: one module per command, put together in app.py."""


def main() -> None:
    """The entry point of the installed command."""
    # Imported here: `api.cli` is also a package that the web workers may import from, without typer.
    from api.cli.app import app

    app()
