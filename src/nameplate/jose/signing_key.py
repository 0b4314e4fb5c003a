"""The key that signs what we issue: ES256 (RFC 7518 §3.4)."""

import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from nameplate.errors import ConfigurationError
from nameplate.jose.compact import encode_base64url
from nameplate.jose.strict_json import read_json

__all__ = ["SigningKey"]

_ES256 = ECDSA(SHA256())
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class SigningKey:
    """A P-256 private key, imported once. Its ``repr`` shows the ``kid`` only."""

    __slots__ = ("_headers", "_key", "_private_key", "kid")

    def __init__(self, key: ECKey, kid: str) -> None:
        if not isinstance(key.private_key, EllipticCurvePrivateKey):
            raise ConfigurationError("signing_key", "is a public key")
        self.kid = kid
        self._key = key
        self._private_key = key.private_key
        self._headers: dict[str, bytes] = {}

    @classmethod
    def generate(cls) -> "SigningKey":
        """A fresh key. ``kid`` is its JWK thumbprint (RFC 7638)."""
        key = ECKey.generate_key("P-256")
        return cls(key, key.thumbprint())

    @classmethod
    def from_private_jwk(cls, text: str) -> "SigningKey":
        """The key that ``private_jwk`` wrote. ``ConfigurationError`` where the text is no P-256 private JWK."""
        jwk = read_json(text.encode())
        if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
            raise ConfigurationError("signing_key", "is not a JWK of the P-256 curve")
        members = {member: jwk.get(member) for member in ("x", "y", "d")}
        if not all(isinstance(value, str) for value in members.values()):
            raise ConfigurationError("signing_key", "lacks x, y or d: it is not a private JWK")
        try:
            key = ECKey.import_key({"kty": "EC", "crv": "P-256", **{name: str(members[name]) for name in members}})
        except (JoseError, ValueError) as error:
            raise ConfigurationError("signing_key", "is damaged: its numbers are not a key") from error
        kid = jwk.get("kid")
        return cls(key, kid if isinstance(kid, str) and kid else key.thumbprint())

    def private_jwk(self) -> str:
        """The private key as JWK JSON, for the store alone."""
        return _to_json({**self._key.as_dict(private=True), **self._parameters()})

    def public_jwk(self) -> dict[str, str]:
        """The entry for a published key set."""
        public = self._key.as_dict(private=False)
        return {member: str(public[member]) for member in ("kty", "crv", "x", "y")} | self._parameters()

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str:
        """The claims as a signed JWT in compact form, its header ``typ``, ``alg`` and ``kid``.

        Signs with cryptography itself: joserfc's serializer takes twice the time.
        """
        header = self._headers.get(typ) or self._remember_header(typ)
        signing_input = header + encode_base64url(_to_json(dict(claims)).encode())
        r, s = decode_dss_signature(self._private_key.sign(signing_input, _ES256))
        signature = encode_base64url(r.to_bytes(32) + s.to_bytes(32))  # RFC 7518 §3.4
        return f"{signing_input.decode()}.{signature.decode()}"

    def _remember_header(self, typ: str) -> bytes:
        header = encode_base64url(_to_json({"typ": typ, "alg": "ES256", "kid": self.kid}).encode()) + b"."
        self._headers[typ] = header
        return header

    def _parameters(self) -> dict[str, str]:
        return {"kid": self.kid, "alg": "ES256", "use": "sig"}

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"
