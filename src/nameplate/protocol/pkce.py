"""Proof Key for Code Exchange, S256 only (RFC 7636; OAuth 2.1 §4.1.1, §7.5.1)."""

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256

__all__ = ["CODE_CHALLENGE_METHODS", "build_code_challenge", "is_code_challenge", "is_code_verifier", "is_proof"]

CODE_CHALLENGE_METHODS = ("S256",)

# RFC 7636 §4.2: BASE64URL of 32 bytes without padding is 43 characters, the last of which carries four bits.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
# RFC 7636 §4.1: 43 to 128 of the unreserved characters.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_code_challenge(text: str) -> bool:
    """Whether the text can be an S256 challenge."""
    return _CHALLENGE.fullmatch(text) is not None


def is_code_verifier(text: str) -> bool:
    """Whether the text has the form of a code verifier."""
    return _VERIFIER.fullmatch(text) is not None


def build_code_challenge(verifier: str) -> str:
    """The S256 challenge of a verifier, which is ASCII (RFC 7636 §4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()


def is_proof(verifier: str, challenge: str) -> bool:
    """Whether the verifier belongs to the challenge (RFC 7636 §4.6), in constant time."""
    if not (is_code_verifier(verifier) and is_code_challenge(challenge)):
        return False
    return hmac.compare_digest(build_code_challenge(verifier), challenge)
