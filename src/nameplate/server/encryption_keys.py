"""The keys under which secrets are encrypted in the store: from the environment, from a file, or made on first start.

What they protect from is a copy of the store without them: a backup, a dump, a database that somebody else runs.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from nameplate.errors import ConfigurationError, StoreError
from nameplate.ports.store import KeyStore
from nameplate.server.settings import StoreSettings
from nameplate.server.settings_checks import check_encryption_keys
from nameplate.stores.sqlite_file import parse_database_path
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys, read_key_id

__all__ = ["find_vault", "open_vault"]

_LONGEST_FILE_BYTES = 64 * 1024


async def open_vault(settings: StoreSettings, store: KeyStore) -> Vault:
    """The vault with the configured keys; with SQLite, and none configured, that of the file beside the store.

    The file is made where neither it nor anything encrypted exists. Where only the file is missing, a new key would
    open nothing: that is a ``StoreError``. ``ConfigurationError`` where the keys cannot be had or used.
    """
    # In this order: who finds no key now, and no file after that, knows that none was made in between.
    sealed = [key for key in await store.load_signing_keys() if key.withdrawn_at is None]
    vault = find_vault(settings)
    if vault is not None:
        return vault
    file = _locate_own_file(settings)
    if sealed:
        key_id = read_key_id(sealed[0].sealed_jwk) or "its name is damaged"
        raise StoreError(
            f"the encryption key {key_id} is not here: the signing keys in the store lie under it, this process has no "
            f"store.encryption_keys and no store.encryption_key_file, and {file} does not exist. Give it what the "
            "running server has: its environment (NAMEPLATE_STORE__ENCRYPTION_KEYS may stand in a file that only the "
            "service reads), or put the file back. Only if the key is lost to every server, and no copy is left, see "
            "Encryption keys in docs/deploy.md; that costs all access tokens issued so far"
        )
    _create_file(file)
    return _read_file(file)


def find_vault(settings: StoreSettings) -> Vault | None:
    """The vault with the keys as far as they exist; None where the file beside the store was not made yet.

    Raises ``ConfigurationError`` where the keys cannot be used.
    """
    check_encryption_keys(settings)
    if settings.encryption_keys:
        return Vault(parse_encryption_keys(settings.encryption_keys, setting="store.encryption_keys"))
    if settings.encryption_key_file is not None:
        return _read_file(settings.encryption_key_file)
    file = _locate_own_file(settings)
    return _read_file(file) if file.exists() else None


def _locate_own_file(settings: StoreSettings) -> Path:
    # Beside the target of a link, as SQLite's own files: whatever path leads to the store, it has one key.
    return Path(f"{os.path.realpath(parse_database_path(settings.url))}.key")


def _read_file(file: Path) -> Vault:
    """The keys in a file, one a line; what follows a # is a comment."""
    try:
        with open(file, "rb", opener=_open_without_waiting) as opened:
            _check_kind(opened.fileno(), file)
            _keep_private(opened.fileno(), file)
            data = opened.read(_LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError("store.encryption_key_file", f"{file} cannot be read: {error.strerror}.") from None
    if len(data) > _LONGEST_FILE_BYTES:
        raise ConfigurationError("store.encryption_key_file", f"{file} is too long to be a list of keys.")
    lines = (line.partition("#")[0].strip() for line in data.decode(errors="replace").splitlines())
    texts = [line for line in lines if line]
    if not texts:
        raise ConfigurationError(
            "store.encryption_key_file", f"{file} holds no key. It must be the one that it held before."
        )
    return Vault(parse_encryption_keys(texts, setting="store.encryption_key_file", place=f"{file}: key number"))


def _open_without_waiting(path: str, flags: int) -> int:
    """A pipe in the file's place would keep the start waiting for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_kind(descriptor: int, file: Path) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ConfigurationError("store.encryption_key_file", f"{file} is no regular file.")


def _keep_private(descriptor: int, file: Path) -> None:
    """Take everybody else's rights from the file, as from the store's own.

    What belongs to root cannot be tightened by others. It may then be readable by a group, which is how Kubernetes
    gives a secret to a process that is not root, but not by everybody. What belongs to a third user is his to read and
    to change, whatever its mode is: it is refused, but for a volume that a group may read, whose owner is the driver's.
    """
    status = os.fstat(descriptor)
    mode, user = stat.S_IMODE(status.st_mode), os.geteuid()
    is_for_our_group = user != 0 and status.st_uid != user and mode & 0o040 and not mode & 0o037
    if is_for_our_group:
        return
    if status.st_uid not in (0, user):
        raise ConfigurationError(
            "store.encryption_key_file",
            f"{file} belongs to the user with the uid {status.st_uid}, who may change it, and this process runs as "
            f"{user}: run it as the server's user, to whom or to root the file must belong.",
        )
    if not mode & 0o077:
        return
    try:
        os.fchmod(descriptor, mode & 0o600)
    except OSError as error:
        raise ConfigurationError(
            "store.encryption_key_file",
            f"other users may open {file}, and its mode cannot be changed to 0600 by this user: {error.strerror}.",
        ) from None


def _create_file(file: Path) -> None:
    """Make the file with a fresh key, whole or not at all; where another process was quicker, its file stays."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write_durably(draft, f"{generate_encryption_key()}\n")
            with contextlib.suppress(FileExistsError):
                os.link(draft, file)  # unlike a rename, it replaces nothing
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(file.parent)
    except OSError as error:
        raise ConfigurationError(
            "store.encryption_key_file",
            f"{file} cannot be made: {error.strerror}. Give the key in NAMEPLATE_STORE__ENCRYPTION_KEYS, or a file "
            "that exists; nameplate keys generate-encryption-key makes one.",
        ) from None


def _write_durably(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """The name of a file is only as durable as its folder: what is encrypted under a key must not outlive it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
