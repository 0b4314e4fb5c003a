"""Keys by which ``FakeIdentityProvider`` signs, rightly and wrongly. RS256, which every OpenID provider has."""

import hmac
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nameplate.jose.compact import encode_base64url

__all__ = ["ProviderKey", "SignatureKind"]

SignatureKind = Literal["RS256", "none", "HS256"]
"""``none`` is no signature at all, ``HS256`` one whose secret is the public key: both must be refused."""


class ProviderKey:
    """An RSA key of 2048 bits."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._key = generate_private_key(public_exponent=65537, key_size=2048)

    def public_jwk(self) -> dict[str, object]:
        """The entry for the key set."""
        numbers = self._key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": encode_base64url(numbers.n.to_bytes(256)).decode(),
            "e": encode_base64url(numbers.e.to_bytes(3)).decode(),
        }

    def sign(
        self, claims: Mapping[str, object], *, kind: SignatureKind = "RS256", header: Mapping[str, object] | None = None
    ) -> str:
        """The claims as a JWT in compact form; members of ``header`` that are None are left out."""
        members = {"typ": "JWT", "alg": kind, "kid": self.kid, **(header or {})}
        parts = ({name: value for name, value in members.items() if value is not None}, claims)
        signing_input = b".".join(encode_base64url(json.dumps(part).encode()) for part in parts)
        return (signing_input + b"." + encode_base64url(self._sign(signing_input, kind))).decode()

    def _sign(self, signing_input: bytes, kind: SignatureKind) -> bytes:
        match kind:
            case "RS256":
                return self._key.sign(signing_input, PKCS1v15(), SHA256())
            case "HS256":  # CVE-2015-9235: a verifier that takes the algorithm from the token would take this
                public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                return hmac.digest(public, signing_input, sha256)
            case "none":
                return b""
