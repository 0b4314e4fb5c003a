"""Where the encryption keys come from, who may read them, and that a lost one is never quietly replaced."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nameplate.errors import ConfigurationError, StoreError
from nameplate.ports.store import Store
from nameplate.server.encryption_keys import find_vault, open_vault
from nameplate.server.settings import StoreSettings, load_settings
from nameplate.stores.sqlite import SqliteStore
from nameplate.testing.store_samples import NOW, sample_signing_key
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys

HASH = "$argon2id$v=19$m=65536,t=3,p=4$ge3R5/NY5SHHZLYnPnKxiQ$dqfPeYPJ9Xb3aLMa1dL7czf3x3bJ+fYkbOAH7m6KOrY"
CONFIGURATION = f"""
issuer = "https://auth.example.com"
accounts = [{{ username = "alice", password_hash = "{HASH}" }}]
resources = [{{ identifier = "https://mcp.example.com/mcp", name = "Notes" }}]
"""

CHILD = """
import asyncio, sys, time
from nameplate.errors import Error
from nameplate.server.encryption_keys import open_vault
from nameplate.server.settings import StoreSettings
from nameplate.stores.sqlite import SqliteStore

async def run(url):
    store = await SqliteStore.open(url)
    print("open", flush=True)
    starts_at = float(sys.stdin.readline())
    while time.monotonic() < starts_at:
        pass
    vault = await open_vault(StoreSettings(url=url), store)
    print(vault.key_ids[0], flush=True)
    await store.aclose()

asyncio.run(run(sys.argv[1]))
"""

AS_NOBODY = """
import os, sys
from nameplate.errors import ConfigurationError
from nameplate.server.encryption_keys import find_vault
from nameplate.server.settings import StoreSettings

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print(*find_vault(StoreSettings(encryption_key_file=sys.argv[1])).key_ids)
except ConfigurationError as error:
    print(error)
"""


@asynccontextmanager
async def open_store(directory: Path) -> AsyncIterator[tuple[StoreSettings, Store]]:
    settings = StoreSettings(url=f"sqlite:///{directory / 'store.sqlite3'}")
    store = await SqliteStore.open(settings.url)
    try:
        yield settings, store
    finally:
        await store.aclose()


def write_file(path: Path, text: str | bytes, mode: int = 0o600) -> StoreSettings:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return StoreSettings(encryption_key_file=path)


def build_vault(*texts: str) -> Vault:
    return Vault(parse_encryption_keys(texts, setting="s"))


def list_names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def read_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.anyio
async def test_the_first_start_makes_a_file_beside_the_store_for_its_owner_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path) as (settings, store):
        assert find_vault(settings) is None
        made = await open_vault(settings, store)
        again = await open_vault(settings, store)
    file = tmp_path / "store.sqlite3.key"
    assert read_mode(file) == 0o600
    assert made.key_ids == again.key_ids == build_vault(file.read_text().strip()).key_ids
    assert list_names(tmp_path) == ["store.sqlite3", "store.sqlite3.key"]


@pytest.mark.anyio
async def test_whatever_link_leads_to_the_store_it_has_one_key(tmp_path: Path) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    real.mkdir()
    other.mkdir()
    async with open_store(real) as (settings, store):
        made = await open_vault(settings, store)
    (other / "store.sqlite3").symlink_to(real / "store.sqlite3")
    async with open_store(other) as (settings, store):
        assert (await open_vault(settings, store)).key_ids == made.key_ids


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for _ in range(6)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
        starts_at = time.monotonic() + 0.3  # all wait by now, and the clock is the same for all
        for child in children:
            assert child.stdin is not None
            child.stdin.write(f"{starts_at}\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=30)[0] for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert len(set(outputs)) == 1
    assert re.fullmatch(r"[0-9a-f]{16}\n", outputs[0])
    assert [name for name in list_names(tmp_path) if "key" in name] == ["store.sqlite3.key"]


@pytest.mark.anyio
async def test_a_second_process_with_the_store_still_empty_finds_the_first_one_s_key(tmp_path: Path) -> None:
    async with open_store(tmp_path) as (settings, store):
        vaults = await asyncio.gather(*(open_vault(settings, store) for _ in range(8)))
    assert len({vault.key_ids for vault in vaults}) == 1


@pytest.mark.anyio
async def test_a_lost_key_file_is_told_and_never_replaced(tmp_path: Path) -> None:
    async with open_store(tmp_path) as (settings, store):
        vault = await open_vault(settings, store)
        sealed = vault.seal(b"{}", purpose="p")
        await store.record_signing_key(sample_signing_key(sealed_jwk=sealed), latest=None)
        (tmp_path / "store.sqlite3.key").unlink()
        with pytest.raises(StoreError) as caught:
            await open_vault(settings, store)
        assert not (tmp_path / "store.sqlite3.key").exists()
        told = str(caught.value)
        assert f"the encryption key {vault.key_ids[0]} is not here" in told
        assert f"{tmp_path / 'store.sqlite3.key'} does not exist" in told
        # What is likely comes first: the key is where the server has it. What costs something is not a line to copy.
        assert told.index("NAMEPLATE_STORE__ENCRYPTION_KEYS") < told.index("lost to every server")
        assert "withdraw" not in told
        # Once its keys are withdrawn, there is nothing left that a new key could not open.
        await store.withdraw_signing_key(sample_signing_key().kid, NOW)
        assert (await open_vault(settings, store)).key_ids != vault.key_ids


@pytest.mark.anyio
async def test_a_store_without_an_encryption_key_says_so_whatever_lies_in_it(tmp_path: Path) -> None:
    async with open_store(tmp_path) as (settings, store):
        await store.record_signing_key(sample_signing_key(sealed_jwk=b"damaged"), latest=None)
        with pytest.raises(StoreError, match="does not exist"):
            await open_vault(settings, store)


def test_keys_come_from_the_settings_in_their_order() -> None:
    texts = (generate_encryption_key(), generate_encryption_key())
    vault = find_vault(StoreSettings(encryption_keys=texts))
    assert vault is not None
    assert vault.key_ids == build_vault(*texts).key_ids
    assert texts[0] not in repr(StoreSettings(encryption_keys=texts))


def test_keys_come_from_a_file_one_a_line_with_comments(tmp_path: Path) -> None:
    texts = (generate_encryption_key(), generate_encryption_key())
    settings = write_file(tmp_path / "keys", f"# two of them\r\n\n  {texts[0]} # since May\n#{'x' * 100}\n{texts[1]}")
    vault = find_vault(settings)
    assert vault is not None
    assert vault.key_ids == build_vault(*texts).key_ids


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o604])
def test_a_file_that_others_may_read_is_tightened(tmp_path: Path, mode: int) -> None:
    settings = write_file(tmp_path / "keys", generate_encryption_key(), mode)
    assert find_vault(settings) is not None
    assert read_mode(tmp_path / "keys") == 0o600


def test_a_mode_that_is_tight_stays_as_it_is(tmp_path: Path) -> None:
    settings = write_file(tmp_path / "keys", generate_encryption_key(), 0o400)
    assert find_vault(settings) is not None
    assert read_mode(tmp_path / "keys") == 0o400


def find_as_nobody(file: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(file)], capture_output=True, text=True, check=True
    ).stdout


def test_a_file_of_another_user_that_everybody_may_read_is_refused() -> None:
    assert "other users may open /etc/passwd, and its mode cannot be changed" in find_as_nobody(Path("/etc/passwd"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize(("mode", "is_taken"), [(0o440, True), (0o460, False), (0o444, False)])
def test_a_file_of_another_user_may_be_readable_by_a_group_of_ours(mode: int, is_taken: bool) -> None:
    # Not in tmp_path, whose parents nobody else may enter.
    file = Path("/tmp") / f"nameplate-test-{os.getpid()}-{mode:o}"
    try:
        write_file(file, generate_encryption_key(), mode)
        os.chown(file, 0, 65534)
        assert bool(re.fullmatch(r"[0-9a-f]{16}\n", find_as_nobody(file))) is is_taken
    finally:
        file.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_root_takes_no_file_that_somebody_else_may_change(tmp_path: Path, mode: int) -> None:
    settings = write_file(tmp_path / "keys", generate_encryption_key(), mode)
    os.chown(tmp_path / "keys", 65534, 65534)
    with pytest.raises(ConfigurationError, match="belongs to the user with the uid 65534, who may change it"):
        find_vault(settings)
    assert read_mode(tmp_path / "keys") == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize(("mode", "is_taken"), [(0o440, True), (0o640, True), (0o644, False), (0o444, False)])
def test_a_third_user_s_file_counts_only_where_a_group_of_ours_may_read_it(mode: int, is_taken: bool) -> None:
    file = Path("/tmp") / f"nameplate-test-{os.getpid()}-third-{mode:o}"
    try:
        write_file(file, generate_encryption_key(), mode)
        os.chown(file, 12345, 65534)
        assert bool(re.fullmatch(r"[0-9a-f]{16}\n", find_as_nobody(file))) is is_taken
    finally:
        file.unlink()


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "keys"
    if kind == "pipe":
        os.mkfifo(place, 0o600)
    else:
        place = Path("/dev/zero")
    with pytest.raises(ConfigurationError, match="is no regular file"):
        find_vault(StoreSettings(encryption_key_file=place))


BROKEN = {
    "empty": (b"", "holds no key"),
    "comments only": (b"# nothing\n\n", "holds no key"),
    "no key": (b"hello\n", "key number 1 is not 32 bytes"),
    "binary": (bytes(range(256)), "key number"),
    "hexadecimal": (f"{os.urandom(32).hex()}\n".encode(), "key number 1 is not 32 bytes"),
    "twice": (b"%(key)s\n%(key)s\n" % {b"key": generate_encryption_key().encode()}, "key number 2 is there twice"),
    "too long": (b"\n" * 70_000, "too long to be a list of keys"),
    "too many": (b"".join(f"{generate_encryption_key()}\n".encode() for _ in range(17)), "give one to 16"),
}


@pytest.mark.parametrize(("data", "problem"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_by_its_name(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_vault(write_file(tmp_path / "keys", data))
    assert caught.value.setting == "store.encryption_key_file"
    assert problem in caught.value.problem
    assert str(tmp_path / "keys") in caught.value.problem or "17 keys" in caught.value.problem


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read: (No such file|Is a directory)"):
        find_vault(StoreSettings(encryption_key_file=tmp_path / name))


@pytest.mark.anyio
async def test_an_emptied_file_beside_the_store_is_not_filled_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as (settings, store):
        await open_vault(settings, store)
        (tmp_path / "store.sqlite3.key").write_text("")
        with pytest.raises(ConfigurationError, match="It must be the one that it held before"):
            await open_vault(settings, store)


@pytest.mark.anyio
async def test_a_dangling_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3.key").symlink_to(tmp_path / "elsewhere")
    async with open_store(tmp_path) as (settings, store):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            await open_vault(settings, store)
    assert list_names(tmp_path) == ["store.sqlite3", "store.sqlite3.key"]


def test_two_places_for_keys_are_refused(tmp_path: Path) -> None:
    settings = StoreSettings(encryption_keys=(generate_encryption_key(),), encryption_key_file=tmp_path / "keys")
    with pytest.raises(ConfigurationError, match="give the keys in one place"):
        find_vault(settings)


def test_postgresql_needs_keys_from_the_operator() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_vault(StoreSettings(url="postgresql://db/nameplate"))
    assert caught.value.setting == "store.encryption_keys"
    assert "nameplate keys generate-encryption-key" in caught.value.problem
    assert "NAMEPLATE_STORE__ENCRYPTION_KEYS" in caught.value.problem


@pytest.mark.parametrize(
    ("added", "setting", "said"),
    [
        ("store.encryption_keys = ['hunter2']", "store.encryption_keys", "key number 1 is not 32 bytes"),
        (
            f"store.encryption_keys = ['{generate_encryption_key()}']\nstore.encryption_key_file = 'keys'",
            "store.encryption_keys",
            "store.encryption_key_file is set too",
        ),
        ("keys.rotate_seconds = 3600", "keys.publish_ahead_seconds", "3600 is no less than keys.rotate_seconds"),
        ("keys.publish_ahead_seconds = 59", "keys.publish_ahead_seconds", "60"),
    ],
)
def test_keys_that_cannot_work_are_refused_with_the_configuration(
    tmp_path: Path, added: str, setting: str, said: str
) -> None:
    (tmp_path / "nameplate.toml").write_text(f"{CONFIGURATION}\n{added}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "nameplate.toml")
    assert caught.value.setting == setting
    assert said in caught.value.problem


def test_the_path_of_the_key_file_is_relative_to_the_configuration_s_folder(tmp_path: Path) -> None:
    write_file(tmp_path / "keys", generate_encryption_key())
    (tmp_path / "nameplate.toml").write_text(f"{CONFIGURATION}\nstore.encryption_key_file = 'keys'\n")
    assert find_vault(load_settings(tmp_path / "nameplate.toml").store) is not None


def test_keys_in_the_environment_are_a_list_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = generate_encryption_key()
    monkeypatch.setenv("NAMEPLATE_STORE__ENCRYPTION_KEYS", f'["{text}"]')
    (tmp_path / "nameplate.toml").write_text(CONFIGURATION)
    vault = find_vault(load_settings(tmp_path / "nameplate.toml").store)
    assert vault is not None
    assert vault.key_ids == build_vault(text).key_ids
