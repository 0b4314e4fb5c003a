"""Classes of clients: how long what they get lives depends on what they prove, and on who vouches for them."""

from dataclasses import dataclass
from typing import Literal

from nameplate.protocol.client_metadata import ClientMetadata

__all__ = ["ClientClass", "Lifetimes", "choose_client_class"]

ClientClass = Literal["public", "confidential", "unverified"]
"""``public`` proves nothing, ``confidential`` proves itself by a key or a secret; ``unverified`` registered itself, so
that nobody stands for what it says, whatever it proves.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long tokens and grants of one class live."""

    access_token_seconds: int
    refresh_token_seconds: int
    grant_seconds: int


def choose_client_class(client: ClientMetadata, auth_method: str | None) -> ClientClass:
    """The class of a client that authenticated by ``auth_method``; None where it did not come to that yet.

    Then a client that may use ``none`` counts as one that will.
    """
    if client.known_by == "itself":
        return "unverified"
    proves_nothing = "none" in client.auth_methods if auth_method is None else auth_method == "none"
    return "public" if proves_nothing else "confidential"
