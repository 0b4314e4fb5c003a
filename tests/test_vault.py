"""Encryption at rest: what is sealed can be opened under its own purpose and key, and nothing else can."""

import secrets
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameplate.errors import ConfigurationError, StoreError
from nameplate.vault import Vault, generate_encryption_key, parse_encryption_keys, read_key_id

KEY, OTHER = secrets.token_bytes(32), secrets.token_bytes(32)
PLAIN = b'{"kty":"EC","d":"the private part"}'


def encode(key: bytes) -> str:
    return urlsafe_b64encode(key).rstrip(b"=").decode()


@given(plain=st.binary(max_size=500), purpose=st.text(max_size=50))
def test_what_was_sealed_is_opened_for_the_same_purpose(plain: bytes, purpose: str) -> None:
    vault = Vault([KEY])
    assert vault.open(vault.seal(plain, purpose=purpose), purpose=purpose) == plain


def test_the_plain_text_is_not_in_what_is_sealed_and_nothing_is_sealed_the_same_way_twice() -> None:
    vault = Vault([KEY])
    sealed = {vault.seal(PLAIN, purpose="p") for _ in range(50)}
    assert len(sealed) == 50
    assert not any(b"private" in each for each in sealed)


@given(purpose=st.text(max_size=20), other=st.text(max_size=20))
def test_another_purpose_opens_nothing(purpose: str, other: str) -> None:
    vault = Vault([KEY])
    sealed = vault.seal(PLAIN, purpose=purpose)
    if purpose != other:
        with pytest.raises(StoreError, match="put where it does not belong"):
            vault.open(sealed, purpose=other)


@pytest.mark.parametrize("position", range(len(Vault([KEY]).seal(PLAIN, purpose="p"))))
def test_no_byte_can_be_changed(position: int) -> None:
    vault = Vault([KEY])
    sealed = bytearray(vault.seal(PLAIN, purpose="p"))
    sealed[position] ^= 1
    with pytest.raises(StoreError):
        vault.open(bytes(sealed), purpose="p")


@given(sealed=st.binary(max_size=100))
def test_whatever_lies_in_the_store_opening_it_fails_with_our_error(sealed: bytes) -> None:
    with pytest.raises(StoreError):
        Vault([KEY]).open(sealed, purpose="p")


@given(sealed=st.binary(max_size=100))
def test_whatever_follows_a_right_beginning_opening_it_fails_with_our_error(sealed: bytes) -> None:
    vault = Vault([KEY])
    with pytest.raises(StoreError):
        vault.open(vault.seal(b"", purpose="p")[:9] + sealed, purpose="p")


def test_a_cut_value_is_damaged() -> None:
    vault = Vault([KEY])
    sealed = vault.seal(PLAIN, purpose="p")
    for length in range(len(sealed)):
        with pytest.raises(StoreError):
            vault.open(sealed[:length], purpose="p")


def test_all_keys_open_and_the_first_one_seals() -> None:
    before, after = Vault([KEY]), Vault([OTHER, KEY])
    sealed = before.seal(PLAIN, purpose="p")
    assert after.open(sealed, purpose="p") == PLAIN
    assert before.is_current(sealed)
    assert not after.is_current(sealed)
    again = after.seal(PLAIN, purpose="p")
    assert after.is_current(again)
    assert Vault([OTHER]).open(again, purpose="p") == PLAIN
    with pytest.raises(StoreError):
        before.open(again, purpose="p")


def test_a_missing_key_is_named_and_so_are_those_that_are_there() -> None:
    sealed = Vault([KEY]).seal(PLAIN, purpose="p")
    with pytest.raises(StoreError) as caught:
        Vault([OTHER]).open(sealed, purpose="p")
    (missing,), (there,) = Vault([KEY]).key_ids, Vault([OTHER]).key_ids
    assert f"under the encryption key {missing}, which is not there; there is {there}" in str(caught.value)
    assert read_key_id(sealed) == missing


def test_a_vault_shows_names_of_keys_and_never_keys() -> None:
    vault = Vault([KEY, OTHER])
    assert repr(vault) == f"Vault(key_ids={vault.key_ids!r})"
    for key in (KEY, OTHER):
        assert encode(key) not in repr(vault)
        assert key.hex()[:16] not in vault.key_ids


@pytest.mark.parametrize("keys", [[], [b""], [KEY[:16]], [KEY + b"\0"], [KEY, b"short"]])
def test_a_vault_takes_keys_of_32_bytes_only(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(keys)


def test_generated_keys_can_be_used_and_differ() -> None:
    texts = [generate_encryption_key() for _ in range(16)]
    assert len(set(parse_encryption_keys(texts, setting="s"))) == 16


@given(key=st.lists(st.integers(0, 255), min_size=32, max_size=32, unique=True).map(bytes))
def test_a_key_is_read_as_it_was_written(key: bytes) -> None:
    if not key.isascii() or any(byte < 0x20 for byte in key):
        assert parse_encryption_keys([encode(key)], setting="s") == (key,)


UNUSABLE = {
    "empty": "",
    "too short": encode(KEY[:16]),
    "too long": encode(KEY + b"\0"),
    "padded": encode(KEY) + "=",
    "a newline at the end": encode(KEY) + "\n",
    "the standard alphabet": "+" + encode(KEY)[1:],
    "hexadecimal": KEY.hex(),
    "a stray last bit": encode(bytes(32))[:-1] + "B",
    "foreign digits": "\N{ARABIC-INDIC DIGIT ONE}" * 43,
    "a phrase": "correct horse battery staple",
    "a phrase, encoded": encode(b"correct horse battery staple 123"),
    "a hash in hexadecimal, encoded": encode(b"0123456789abcdef0123456789abcdef"),
    "zeros": encode(bytes(32)),
    "two halves alike": encode(bytes(range(8)) * 4),
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_is_no_random_key_is_refused_by_its_number_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_encryption_keys([encode(KEY), text], setting="store.encryption_keys")
    assert caught.value.setting == "store.encryption_keys"
    assert caught.value.problem.startswith("key number 2 ")
    assert "nameplate keys generate-encryption-key" in caught.value.problem
    assert not text or text not in str(caught.value)


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="key number 3 is there twice"):
        parse_encryption_keys([encode(KEY), encode(OTHER), encode(KEY)], setting="s")


@pytest.mark.parametrize("count", [0, 17])
def test_no_keys_and_too_many_keys_are_refused(count: int) -> None:
    with pytest.raises(ConfigurationError, match="give one to 16"):
        parse_encryption_keys([generate_encryption_key() for _ in range(count)], setting="s")
