"""One public key of a JWK Set (RFC 7517), and which signatures it may be asked about."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from nameplate.jose.compact import decode_base64url

__all__ = ["SIGNATURE_ALGORITHMS", "KeyProblem", "VerificationKey", "read_verification_key"]

# The key decides the algorithm, never the token (JA-02). No HMAC: a public key would be its secret.
_CURVE_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}  # RFC 7518 §3.4
_CURVE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66}
_SIGNATURE_BYTES = {"ES256": 64, "ES384": 96, "ES512": 132}
_ECDSA = {"ES256": ECDSA(SHA256()), "ES384": ECDSA(SHA384()), "ES512": ECDSA(SHA512())}
_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})  # RFC 7518 §3.3, §3.5
_ED25519_ALGORITHMS = frozenset({"EdDSA", "Ed25519"})  # RFC 8037 §3.1, RFC 9864 §2.2

SIGNATURE_ALGORITHMS = frozenset(_CURVE_ALGORITHMS.values()) | _RSA_ALGORITHMS | _ED25519_ALGORITHMS
"""Every algorithm that can be verified at all."""

_RSA_MODULUS_BYTES = range(2048 // 8, 8192 // 8 + 1)  # RFC 7518 §3.3: at least 2048 bits; more than 8192 burns CPU
_RSA_EXPONENTS = range(3, 2**32)  # 1 makes every signature right, a giant one burns CPU
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_ED25519_PRIME = 2**255 - 19
# y of the points of order 1, 2, 4 and 8: a signature by such a key fits any message.
_ORDER_8_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_ED25519_SMALL_ORDER_Y = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_8_Y, _ED25519_PRIME - _ORDER_8_Y})


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """Why an entry of a key set is not used."""

    problem: str


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key: its ``kid`` and the algorithms it fits."""

    kid: str | None
    algorithms: frozenset[str]
    _key: Key

    def is_signed(self, signing_input: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether the signature is this key's. The caller has checked that ``algorithm`` fits."""
        if isinstance(self._key, ECKey):
            return _is_curve_signature(self._key.public_key, signing_input, signature, algorithm)
        return JWSRegistry.algorithms[algorithm].verify(signing_input, signature, self._key)


def _is_curve_signature(key: EllipticCurvePublicKey, signing_input: bytes, signature: bytes, algorithm: str) -> bool:
    """RFC 7518 §3.4. Asks cryptography itself, as every first sight of an access token of ours comes through here."""
    if len(signature) != _SIGNATURE_BYTES[algorithm]:
        return False
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    try:
        key.verify(encode_dss_signature(r, s), signing_input, _ECDSA[algorithm])  # refuses 0 and the order (JA-06)
    except InvalidSignature:
        return False
    return True


def read_verification_key(jwk: object) -> VerificationKey | KeyProblem:
    """The public key in one entry of a key set. Only its own members reach the library."""
    if not isinstance(jwk, dict):
        return KeyProblem("not a JSON object")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return KeyProblem("a private or symmetric key, which is no secret any more")
    kid, use, operations, alg = (jwk.get(member) for member in ("kid", "use", "key_ops", "alg"))
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        return KeyProblem("kid and alg must be text")
    if use not in (None, "sig"):  # RFC 7517 §4.2
        return KeyProblem("not for signatures by its use")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):  # RFC 7517 §4.3
        return KeyProblem("not for verifying by its key_ops")
    try:
        read = _read_public_key(jwk)
    except (JoseError, ValueError, UnsupportedAlgorithm) as error:
        return KeyProblem(f"not a usable public key: {error}")
    if isinstance(read, KeyProblem):
        return read
    key, algorithms = read
    if alg is not None:  # RFC 7517 §4.4
        algorithms &= {alg}
    return VerificationKey(kid, algorithms, key) if algorithms else KeyProblem("its alg does not fit the key")


def _read_public_key(jwk: Mapping[str, object]) -> tuple[Key, frozenset[str]] | KeyProblem:
    match jwk.get("kty"):
        case "EC":
            return _read_ec_key(jwk)
        case "RSA":
            return _read_rsa_key(jwk)
        case "OKP":
            return _read_ed25519_key(jwk)
        case _:
            return KeyProblem("unknown kty")  # RFC 7517 §5: to be ignored


def _read_ec_key(jwk: Mapping[str, object]) -> tuple[Key, frozenset[str]] | KeyProblem:
    curve, x, y = jwk.get("crv"), jwk.get("x"), jwk.get("y")
    if not isinstance(curve, str) or curve not in _CURVE_ALGORITHMS:
        return KeyProblem("unknown crv")
    if not isinstance(x, str) or not isinstance(y, str):
        return KeyProblem("x and y must be text")
    if any(len(decode_base64url(text) or b"") != _CURVE_BYTES[curve] for text in (x, y)):  # RFC 7518 §6.2.1.2
        return KeyProblem("x and y must be base64url of the curve's size")
    key = ECKey.import_key({"kty": "EC", "crv": curve, "x": x, "y": y})
    return key, frozenset({_CURVE_ALGORITHMS[curve]})


def _read_rsa_key(jwk: Mapping[str, object]) -> tuple[Key, frozenset[str]] | KeyProblem:
    n, e = jwk.get("n"), jwk.get("e")
    if not isinstance(n, str) or not isinstance(e, str):
        return KeyProblem("n and e must be text")
    modulus, exponent = decode_base64url(n), decode_base64url(e)
    if not modulus or not exponent:
        return KeyProblem("n and e must be base64url")
    if len(modulus) not in _RSA_MODULUS_BYTES or modulus[0] < 0x80:
        return KeyProblem("n must have 2048 to 8192 bits, a whole number of bytes")
    if int.from_bytes(exponent) not in _RSA_EXPONENTS:
        return KeyProblem("e is out of range")
    return RSAKey.import_key({"kty": "RSA", "n": n, "e": e}), _RSA_ALGORITHMS


def _read_ed25519_key(jwk: Mapping[str, object]) -> tuple[Key, frozenset[str]] | KeyProblem:
    x = jwk.get("x")
    if jwk.get("crv") != "Ed25519" or not isinstance(x, str):
        return KeyProblem("unknown crv, or x is not text")
    point = decode_base64url(x)
    if point is None or len(point) != 32:
        return KeyProblem("x must be base64url of 32 bytes")
    y = int.from_bytes(point, "little") & (2**255 - 1)
    if y >= _ED25519_PRIME or y in _ED25519_SMALL_ORDER_Y:  # RFC 8032 §5.1.3, §8.4
        return KeyProblem("a point of small order, or written in a second way")
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x}), _ED25519_ALGORITHMS
