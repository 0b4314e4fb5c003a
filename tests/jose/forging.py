"""Builds signed tokens piece by piece, so that each piece can be wrong."""

import json
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from nameplate.jose.compact import encode_base64url

__all__ = ["CLAIMS", "EC_KEY", "ED25519_KEY", "RSA_KEY", "build_token", "publish", "sign_with"]

CLAIMS = {"sub": "somebody"}
EC_KEY = ECKey.generate_key("P-256")
ED25519_KEY = OKPKey.generate_key("Ed25519")
RSA_KEY = RSAKey.generate_key(2048)


def encode(part: Mapping[str, Any] | bytes) -> bytes:
    return encode_base64url(part if isinstance(part, bytes) else json.dumps(part).encode())


def build_token(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, signature: bytes) -> str:
    """A token of these parts, however wrong."""
    return b".".join([encode(header), encode(payload), encode_base64url(signature)]).decode()


def sign_with(
    key: Key, header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes = CLAIMS, alg: str = "ES256"
) -> str:
    """A token whose signature by ``key`` under ``alg`` is good, whatever the header says."""
    signing_input = encode(header) + b"." + encode(payload)
    return build_token(header, payload, JWSRegistry.algorithms[alg].sign(signing_input, key))


def publish(key: Key, **members: Any) -> dict[str, Any]:
    """The public JWK of a key, with members of one's own."""
    return {**key.as_dict(private=False), **members}
