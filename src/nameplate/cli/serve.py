"""``nameplate serve``: the authorization server alone."""

import os
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nameplate.errors import ConfigurationError

__all__ = ["serve"]


def serve(
    *flags: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
) -> None:
    """Run the authorization server.

    Every setting of the file can also be given as a flag (``--listen 127.0.0.1:9000``,
    ``--tokens.access_token_seconds 300``) or in the environment (``NAMEPLATE_LISTEN``,
    ``NAMEPLATE_TOKENS__ACCESS_TOKEN_SECONDS``). Flags win over the environment, which wins over the file.

    Parameters
    ----------
    config
        The TOML file. ``nameplate init`` writes a good one to start from.
    """
    from nameplate.server.run import run_server
    from nameplate.server.settings import load_settings

    _check_for_bare_file(flags)
    named = any(flag == "--issuer" or flag.startswith("--issuer=") for flag in flags)
    if config is None and not named and "NAMEPLATE_ISSUER" not in os.environ:
        raise ConfigurationError("--config", _describe_missing())
    run_server(load_settings(config, flags))


def _check_for_bare_file(flags: Sequence[str]) -> None:
    """Raises ``ConfigurationError`` for a file's name that is no flag's value."""
    for before, flag in pairwise(("", *flags)):
        is_value = before.startswith("-") and "=" not in before
        if flag.endswith(".toml") and not flag.startswith("-") and not is_value:
            raise ConfigurationError(flag, f"Did you mean --config {shlex.quote(flag)}?")


def _describe_missing() -> str:
    if Path("nameplate.toml").is_file():
        return "no configuration was named. There is one here: nameplate serve --config nameplate.toml."
    return "there is no configuration. nameplate init writes a good one: nameplate serve --config nameplate.toml."
