"""People with a password of this server's own, declared in the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import anyio
import anyio.to_thread
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from nameplate.errors import AuthorizationPageError

__all__ = [
    "LOCAL_ISSUER",
    "MAX_PASSWORD_BYTES",
    "LocalAccount",
    "LocalAccounts",
    "hash_password",
    "is_password_hash",
]

LOCAL_ISSUER = "local"
"""Stands for the upstream issuer where a person's stable ``sub`` is looked up; no upstream's issuer can be equal to it.
"""

MAX_PASSWORD_BYTES = 1024
"""Nobody types more than that; whatever is longer is wrong without being looked at."""

# Argon2 takes tens of MiB and milliseconds for each check: this many at once, whoever is knocking.
_CHECKS_AT_ONCE = 2
# And this many in line: some seconds of work. Whoever comes after them is told so, instead of waiting for ever.
_CHECKS_WAITING = 32
_MAX_MEMORY_KIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccount:
    """A person who may sign in. ``password_hash`` is an Argon2 hash in its encoded form."""

    username: str
    password_hash: str
    display_name: str
    groups: tuple[str, ...] = ()

    @property
    def credential_digest(self) -> str:
        """Changes with the password. It is kept with sessions, so that a new password ends those of the old one."""
        return sha256(self.password_hash.encode()).hexdigest()[:32]


class LocalAccounts:
    """The declared accounts, and the check of a password. Each hash must be one (``is_password_hash``)."""

    def __init__(self, accounts: Sequence[LocalAccount]) -> None:
        self._accounts = {account.username: account for account in accounts}
        self._hasher = PasswordHasher()
        # What an unknown username is checked against, so that it takes as long as a known one: the costliest there is.
        self._decoy = max((account.password_hash for account in accounts), key=_read_cost, default="")
        self._limiter: anyio.CapacityLimiter | None = None

    def find(self, username: str) -> LocalAccount | None:
        """The account, if there (still) is one."""
        return self._accounts.get(username)

    async def check_password(self, username: str, password: str) -> LocalAccount | None:
        """The account that both belong to, or None. Takes as long for an unknown username as for a wrong password.

        Raises ``AuthorizationPageError`` ``temporarily_unavailable`` where too many checks are waiting already.
        """
        account = self._accounts.get(username)
        encoded = account.password_hash if account else self._decoy
        secret = password.encode(errors="surrogatepass")
        if len(secret) > MAX_PASSWORD_BYTES:
            return None
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_CHECKS_AT_ONCE)
        if self._limiter.statistics().tasks_waiting >= _CHECKS_WAITING:
            raise AuthorizationPageError(
                "temporarily_unavailable",
                "Too many people are signing in just now.",
                reason="sign_in.busy",
                status=503,
                retry_after_seconds=10,
            )
        good = await anyio.to_thread.run_sync(self._verify, encoded, secret, limiter=self._limiter)
        return account if good else None

    def _verify(self, encoded: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(encoded, secret)
        except (VerificationError, InvalidHashError):
            return False


def _read_cost(encoded: str) -> int:
    parameters = extract_parameters(encoded)
    return parameters.time_cost * parameters.memory_cost


def is_password_hash(text: str) -> bool:
    """Whether the text is an Argon2 hash in its encoded form that can be checked here: with at most 1 GiB of memory."""
    try:
        found = extract_parameters(text)
    except InvalidHashError:
        return False
    is_complete = found.salt_len >= 8 and found.hash_len >= 16 and min(found.time_cost, found.parallelism) >= 1
    return is_complete and 8 * found.parallelism <= found.memory_cost <= _MAX_MEMORY_KIB


def hash_password(password: str) -> str:
    """The Argon2id hash of a new password, in the encoded form that the configuration takes."""
    return PasswordHasher().hash(password)
