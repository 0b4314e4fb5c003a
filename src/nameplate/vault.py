"""Encryption of what lies in the store and must stay secret: AES-256-GCM under keys that can be changed.

A sealed value is ``version (1) || id of the encryption key (8) || nonce (12) || ciphertext and tag``. Version, id and
the value's purpose are authenticated with it: nothing that was sealed for one purpose, or for one row, can be put in
the place of another.
"""

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nameplate.errors import ConfigurationError, StoreError

__all__ = ["Vault", "generate_encryption_key", "parse_encryption_keys", "read_key_id"]

_VERSION: Final = b"\x01"
_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD_BYTES = len(_VERSION) + _KEY_ID_BYTES

_KEY_TEXT = re.compile(r"[A-Za-z0-9_-]{43}")
_LEAST_DISTINCT_BYTES = 16  # of 32 random bytes some 30 differ; that fewer than 16 do happens to nobody
_MOST_KEYS = 16


class Vault:
    """Seals and opens with AES-256-GCM. The first key seals, all open; so a key is changed by putting one before it.

    Nonces are random: after 2^32 values under one key the odds of a repetition are still below 2^-32 (NIST SP
    800-38D §8.3), and what is sealed here is counted in signing keys.
    """

    __slots__ = ("_ciphers", "_current")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """``keys`` are 32 random bytes each, as ``parse_encryption_keys`` gives them: at least one."""
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError("a vault needs keys of 32 bytes")
        self._ciphers = {_identify(key): AESGCM(key) for key in keys}
        self._current = _identify(keys[0])

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the keys, the one that seals first. They tell nothing about the keys."""
        return tuple(key_id.hex() for key_id in self._ciphers)

    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        """Encrypt. ``purpose`` says what the value is for, and must be given again to open it."""
        head = _VERSION + self._current
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + self._ciphers[self._current].encrypt(nonce, plain, head + purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """Decrypt. Raises ``StoreError`` where no key here is the one, or where the value is not what was sealed."""
        key_id = read_key_id(sealed)
        if key_id is None:
            raise StoreError("it is damaged, or a newer nameplate encrypted it")
        cipher = self._ciphers.get(bytes.fromhex(key_id))
        if cipher is None:
            raise StoreError(
                f"it is encrypted under the encryption key {key_id}, which is not there; there is "
                f"{' and '.join(self.key_ids)}"
            )
        head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], head + purpose.encode())
        except InvalidTag:
            raise StoreError(f"it is damaged, or was put where it does not belong (encryption key {key_id})") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the value is sealed under the key that seals now."""
        return read_key_id(sealed) == self._current.hex()

    def __repr__(self) -> str:
        return f"Vault(key_ids={self.key_ids!r})"


def read_key_id(sealed: bytes) -> str | None:
    """The name of the key that a value is sealed under; None where it is nothing that this version seals."""
    if sealed[:1] != _VERSION or len(sealed) < _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES:
        return None
    return sealed[len(_VERSION) : _HEAD_BYTES].hex()


def generate_encryption_key() -> str:
    """A fresh key as text: 32 random bytes in base64url."""
    return urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).rstrip(b"=").decode()


def parse_encryption_keys(texts: Sequence[str], *, setting: str, place: str = "key number") -> tuple[bytes, ...]:
    """The keys, in their order. ``place`` and a number, from 1, say which one is wrong; no message holds a key.

    Raises ``ConfigurationError`` for none or too many, for anything but base64url of 32 bytes, for keys that nobody
    drew at random, and for one that is there twice.
    """
    if not 1 <= len(texts) <= _MOST_KEYS:
        raise ConfigurationError(setting, f"{len(texts)} keys; give one to {_MOST_KEYS}.")
    keys: list[bytes] = []
    for number, text in enumerate(texts, 1):
        key = _parse_encryption_key(text, setting, f"{place} {number}")
        if key in keys:
            raise ConfigurationError(setting, f"{place} {number} is there twice.")
        keys.append(key)
    return tuple(keys)


def _parse_encryption_key(text: str, setting: str, place: str) -> bytes:
    key = urlsafe_b64decode(text + "=") if _KEY_TEXT.fullmatch(text) else b""
    if not key or urlsafe_b64encode(key).rstrip(b"=").decode() != text:  # a stray last bit: another spelling of the key
        raise ConfigurationError(
            setting, f"{place} is not 32 bytes in base64url: make one with nameplate keys generate-encryption-key."
        )
    # A phrase, a hash in hexadecimal, a placeholder: AES would take each of them.
    if len(set(key)) < _LEAST_DISTINCT_BYTES or all(0x20 <= byte < 0x7F for byte in key):
        raise ConfigurationError(
            setting, f"{place} was not drawn at random: make one with nameplate keys generate-encryption-key."
        )
    return key


def _identify(key: bytes) -> bytes:
    """A name for the key, of which it cannot be computed: the key is 256 random bits."""
    return sha256(b"nameplate encryption key id\0" + key).digest()[:_KEY_ID_BYTES]
