"""A set of public keys (RFC 7517 §5) and the verification of JWTs signed by one of them (RFC 7515 §5.2, RFC 8725)."""

from collections import Counter
from collections.abc import Sequence, Set

from nameplate.jose.compact import CompactToken, read_compact
from nameplate.jose.outcomes import Refused, UnknownKey, Verified
from nameplate.jose.strict_json import read_json
from nameplate.jose.verification_key import (
    SIGNATURE_ALGORITHMS,
    KeyProblem,
    VerificationKey,
    read_verification_key,
)

__all__ = ["KEY_SET_ENTRIES", "KeySet"]

KEY_SET_ENTRIES = 64
"""A set with more entries is not used at all: importing keys costs time."""


class KeySet:
    """Public keys by ``kid``. Immutable; whoever fetches keys again builds a new one."""

    __slots__ = ("_keys", "_problems")

    def __init__(self, keys: Sequence[VerificationKey], problems: Sequence[str] = ()) -> None:
        """``keys`` of one set; where two share a ``kid``, neither is used: which one is meant cannot be known."""
        times = Counter(key.kid for key in keys)
        self._keys = {key.kid: key for key in keys if times[key.kid] == 1}
        shared = (f"kid {kid!r}: shared by {count} keys" for kid, count in times.items() if count > 1)
        self._problems = (*problems, *shared)

    @classmethod
    def from_jwks(cls, document: object) -> "KeySet":
        """The usable keys of a JWK Set, as parsed JSON. What is wrong is left out and told by ``problems``.

        Never raises: a document that is no key set at all gives an empty set.
        """
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            return cls((), ["not a JWK Set"])
        if len(entries) > KEY_SET_ENTRIES:
            return cls((), [f"more than {KEY_SET_ENTRIES} keys"])
        keys: list[VerificationKey] = []
        problems: list[str] = []
        for index, entry in enumerate(entries):
            read = read_verification_key(entry)
            if isinstance(read, KeyProblem):
                problems.append(f"keys[{index}]: {read.problem}")
            else:
                keys.append(read)
        return cls(keys, problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why entries of the document are not used, one sentence each, for the log."""
        return self._problems

    def __len__(self) -> int:
        return len(self._keys)

    def verify(
        self, token: str, *, typ: Set[str], algorithms: Set[str] = SIGNATURE_ALGORITHMS
    ) -> Verified | UnknownKey | Refused:
        """Whether one of these keys signed the token; its claims where one did.

        ``typ`` holds the values that the header's ``typ`` may have, with the empty string for a header without one
        (RFC 8725 §3.11). ``algorithms`` narrows ``SIGNATURE_ALGORITHMS``; ``none`` and HMAC cannot be had.
        """
        compact = read_compact(token)
        if isinstance(compact, Refused):
            return compact
        algorithm = compact.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in SIGNATURE_ALGORITHMS:
            return Refused("algorithm")
        token_type = compact.header.get("typ", "")
        if not isinstance(token_type, str) or token_type not in typ:
            return Refused("type")
        key = self._choose_key(compact.header.get("kid"))
        if not isinstance(key, VerificationKey):
            return key
        return _verify_signature(compact, key, algorithm)

    def _choose_key(self, kid: object) -> VerificationKey | UnknownKey | Refused:
        """The key of exactly this ``kid``. A token without one means the only key there is (RFC 7515 §4.1.4)."""
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else Refused("key")
        if not isinstance(kid, str):
            return Refused("key")
        return self._keys.get(kid) or UnknownKey(kid)


def _verify_signature(compact: CompactToken, key: VerificationKey, algorithm: str) -> Verified | Refused:
    if algorithm not in key.algorithms:
        return Refused("key")
    if not key.is_signed(compact.signing_input, compact.signature, algorithm):
        return Refused("signature")
    claims = read_json(compact.payload)
    return Verified(claims) if isinstance(claims, dict) else Refused("claims")
