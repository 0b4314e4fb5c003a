"""The answer to a refresh, kept so that a benign repeat can have it again (architecture decision 12).

It is encrypted under a key derived from the refresh token that bought it. The store keeps only that token's hash, so
whoever reads the store learns nothing from the answer.
"""

import json
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nameplate.errors import StoreError

__all__ = ["TokenAnswer", "open_answer", "seal_answer"]

_INFO = b"nameplate refresh answer v1"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """A token response (RFC 6749 §5.1). ``access_token_expires_at`` is an instant: a repeat says how much is left."""

    access_token: str = field(repr=False)
    access_token_expires_at: int
    scope: str
    refresh_token: str | None = field(repr=False)

    def build_body(self, now: int) -> dict[str, object]:
        """The JSON for the client, as of ``now``."""
        body: dict[str, object] = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": max(0, self.access_token_expires_at - now),
        }
        if self.scope:  # RFC 6749 §3.3 has no empty scope
            body["scope"] = self.scope
        if self.refresh_token is not None:
            body["refresh_token"] = self.refresh_token
        return body


def _derive_key(refresh_token: str) -> AESGCM:
    # The token is 256 random bits: it needs no stretching, only a purpose of its own.
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(refresh_token.encode()))


def seal_answer(answer: TokenAnswer, refresh_token: str) -> bytes:
    """Encrypt the answer under the refresh token that was presented."""
    plain = json.dumps(
        [answer.access_token, answer.access_token_expires_at, answer.scope, answer.refresh_token],
        separators=(",", ":"),
    )
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _derive_key(refresh_token).encrypt(nonce, plain.encode(), None)


def open_answer(sealed: bytes, refresh_token: str) -> TokenAnswer:
    """Decrypt what ``seal_answer`` made. Raises ``StoreError`` where the store returned something else."""
    try:
        plain = _derive_key(refresh_token).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        access_token, expires_at, scope, successor = json.loads(plain)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce, or sealed by another version
        raise StoreError("a stored refresh answer is damaged") from None
    return TokenAnswer(
        access_token=access_token, access_token_expires_at=expires_at, scope=scope, refresh_token=successor
    )
