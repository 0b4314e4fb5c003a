"""The ``nameplate`` command."""

import sys
from collections.abc import Sequence

from cyclopts import App
from rich.console import Console
from rich.text import Text

from nameplate import __version__
from nameplate.cli.accounts import accounts
from nameplate.cli.init import init
from nameplate.cli.serve import serve
from nameplate.errors import ConfigurationError, StoreError
from nameplate.protocol.client_id import CIMD_DRAFT

__all__ = ["app", "main"]

app = App(
    name="nameplate",
    help="OAuth for MCP in which a client is known by a document on its own domain.",
    version=f"nameplate {__version__} ({CIMD_DRAFT})",
)
app.command(serve)
app.command(init)
app.command(accounts)


@app.command(name="demo")
def demo(*, browser: bool = False, keep: bool = False, json: bool = False) -> int:
    """Show everything working on this machine: a client's document, this server, an MCP server, and a real client.

    Parameters
    ----------
    browser
        Leave signing in and consenting to you, in your browser.
    keep
        Leave everything running, and print where it is.
    json
        Print one JSON object per step on standard output, and nothing else there.
    """
    from nameplate.cli.demo import run_demo

    return run_demo(browser=browser, keep=keep, json=json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default with the process's arguments.

    A configuration that cannot work ends it with status 2, a store that cannot be opened with 1.
    """
    try:
        app(arguments)
    except ConfigurationError as error:
        _print_error((error.setting, "bold"), f": {error.problem}")
        sys.exit(2)
    except StoreError as error:
        _print_error(str(error))
        sys.exit(1)


def _print_error(*parts: str | tuple[str, str]) -> None:
    # As Text, not as markup: a message may hold brackets, as in [[accounts]] or [::1]:8080.
    message = Text.assemble(("nameplate: ", "bold red"), *parts)
    Console(stderr=True, highlight=False).print(message, soft_wrap=True)
