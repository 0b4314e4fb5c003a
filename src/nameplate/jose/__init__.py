"""Signing keys, key sets, signed JWTs (RFC 7515, 7517, 7518, 7519, 8725): the only importer of joserfc.

``SigningKey`` signs what we issue; ``KeySet`` verifies what somebody else signed and answers ``Verified``,
``UnknownKey`` or ``Refused``. Which claims are good is decided in ``protocol``.
"""

from nameplate.jose.key_set import KeySet
from nameplate.jose.outcomes import Refused, RefusedReason, UnknownKey, Verified
from nameplate.jose.signing_key import SigningKey
from nameplate.jose.strict_json import read_json
from nameplate.jose.verification_key import SIGNATURE_ALGORITHMS

__all__ = [
    "SIGNATURE_ALGORITHMS",
    "KeySet",
    "Refused",
    "RefusedReason",
    "SigningKey",
    "UnknownKey",
    "Verified",
    "read_json",
]
