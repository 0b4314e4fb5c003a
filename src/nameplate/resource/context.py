"""The access token of the request that is being served."""

from contextvars import ContextVar

from nameplate.protocol.access_token import AccessToken

__all__ = ["ACCESS_TOKEN_KEY", "access_token_variable", "current_access_token"]

ACCESS_TOKEN_KEY = "nameplate.access_token"  # noqa: S105 - a key of the ASGI scope
"""The key under which the ASGI scope of an authorised request holds its ``AccessToken``."""

access_token_variable: ContextVar[AccessToken | None] = ContextVar(ACCESS_TOKEN_KEY, default=None)


def current_access_token() -> AccessToken | None:
    """The access token of the request that the calling code serves; None outside of one."""
    return access_token_variable.get()
