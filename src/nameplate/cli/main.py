"""The ``nameplate`` command."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App

from nameplate import __version__
from nameplate.cli.accounts import accounts
from nameplate.cli.admin import PLAIN_HELP
from nameplate.cli.audit import audit
from nameplate.cli.clients import clients
from nameplate.cli.grants import grants
from nameplate.cli.init import init
from nameplate.cli.keys import keys
from nameplate.cli.output import print_error
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
app.command(clients)
app.command(grants)
app.command(accounts)
app.command(keys)
app.command(audit, default_parameter=PLAIN_HELP)


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

    Status 2 is a command or a configuration that cannot work; 1 a store that cannot be opened, or that what was named
    is not there.
    """
    try:
        app(arguments)
    except ConfigurationError as error:
        print_error((error.setting, "bold"), f": {error.problem}")
        sys.exit(2)
    except StoreError as error:
        print_error(str(error))
        sys.exit(1)
    except BrokenPipeError:
        # Who closes a pipe early has seen enough. What is still buffered goes nowhere, or the interpreter would stumble
        # over it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
