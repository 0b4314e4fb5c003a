"""The ``nameplate`` command."""

import sys

from cyclopts import App
from rich.console import Console

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


def main() -> None:
    """Run the command line; a configuration that cannot work ends it with status 2, a store that cannot be opened with
    1.
    """
    console = Console(stderr=True, highlight=False)
    try:
        app()
    except ConfigurationError as error:
        console.print(f"[bold red]nameplate:[/] [bold]{error.setting}[/]: {error.problem}", soft_wrap=True)
        sys.exit(2)
    except StoreError as error:
        console.print(f"[bold red]nameplate:[/] {error}", soft_wrap=True)
        sys.exit(1)
