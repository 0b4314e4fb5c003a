"""Which class a client belongs to: by what it proves, and by who stands for it."""

import pytest

from nameplate.protocol.client_class import ClientClass, choose_client_class
from nameplate.protocol.client_metadata import ClientMetadata, KnownBy


@pytest.mark.parametrize(
    ("known_by", "offered", "used", "client_class"),
    [
        ("document", ("none",), "none", "public"),
        ("document", ("none", "private_key_jwt"), "none", "public"),
        ("document", ("none", "private_key_jwt"), "private_key_jwt", "confidential"),
        ("document", ("private_key_jwt",), "private_key_jwt", "confidential"),
        ("operator", ("client_secret_basic",), "client_secret_basic", "confidential"),
        ("operator", ("client_secret_post",), "client_secret_post", "confidential"),
        ("operator", ("none",), "none", "public"),
        ("itself", ("none",), "none", "unverified"),
        ("itself", ("client_secret_basic",), "client_secret_basic", "unverified"),
        ("itself", ("private_key_jwt",), "private_key_jwt", "unverified"),
        # At consent, nothing was used yet: whoever may prove nothing counts as one that will not.
        ("document", ("none",), None, "public"),
        ("document", ("private_key_jwt", "none"), None, "public"),
        ("document", ("private_key_jwt",), None, "confidential"),
        ("operator", ("client_secret_basic",), None, "confidential"),
        ("itself", ("client_secret_basic",), None, "unverified"),
    ],
)
def test_a_class_follows_from_proof_and_origin(
    known_by: KnownBy, offered: tuple[str, ...], used: str | None, client_class: ClientClass
) -> None:
    client = ClientMetadata(
        client_id="c", redirect_uris=("https://app.example.com/cb",), auth_methods=offered, known_by=known_by
    )
    assert choose_client_class(client, used) == client_class
