"""Public keys of a client: a JWK Set (RFC 7517) that nothing private or ambiguous gets into."""

import json
import re
from typing import NoReturn

from nameplate.errors import ClientMetadataError
from nameplate.protocol.fault import Fault, build_quotation
from nameplate.protocol.limits import KEY_COUNT, TEXT_CHARACTERS
from nameplate.protocol.strict_json import read_json_object

__all__ = ["holds_private_key", "parse_key_document", "parse_key_set"]

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})  # RFC 7518 §6, RFC 9964 §3 for priv
# The members that make up a public key, by key type: RFC 7518 §6, RFC 8037 §2
_KEY_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}
_DESCRIPTIVE_MEMBERS = ("kty", "alg", "kid", "use")
_BASE64URL = re.compile(r"[A-Za-z0-9_\-]+")


def _refuse(reason: str, rule: str) -> NoReturn:
    raise ClientMetadataError(f"document.{reason}", "jwks", rule)


def parse_key_document(body: bytes) -> str:
    """The JWK Set fetched from a ``jwks_uri``, as ``parse_key_set`` returns it. Raises ``ClientMetadataError``."""
    value = read_json_object(body)
    if isinstance(value, Fault):
        _refuse(f"keys_{value.reason}", value.problem)
    return parse_key_set(value)


def parse_key_set(value: object) -> str:
    """The public signing keys of a JWK Set, as canonical JSON (``{"keys":[…]}``) without members that nobody needs.

    Keys of unknown types and encryption keys are skipped (RFC 7517 §5). Raises ``ClientMetadataError`` for private or
    symmetric keys (CIMD draft §4.1), malformed ones, several of which one has no ``kid``, and where none is left.
    """
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        _refuse("wrong_type", "must be an object whose member keys is an array of objects")
    if not 0 < len(keys) <= KEY_COUNT:
        _refuse("keys_count", f"must hold between 1 and {KEY_COUNT} keys")
    for key in keys:
        _check_key(key)
    public = [_parse_key(key) for key in keys if key.get("kty") in _KEY_MEMBERS and key.get("use", "sig") == "sig"]
    if not public:
        _refuse("keys_count", "holds no signing key of type EC, OKP or RSA")
    _check_key_ids(public)
    return json.dumps({"keys": public}, separators=(",", ":"), sort_keys=True)


def holds_private_key(value: object) -> bool:
    """Whether anything in what may be a JWK Set is a private or symmetric key. CIMD draft §4.1."""
    keys = value.get("keys") if isinstance(value, dict) else None
    return isinstance(keys, list) and any(_is_private(key) for key in keys if isinstance(key, dict))


def _is_private(key: dict[str, object]) -> bool:
    return key.get("kty") == "oct" or not _PRIVATE_MEMBERS.isdisjoint(key)


def _check_key(key: dict[str, object]) -> None:
    """What holds for every key, also for those that are skipped."""
    if _is_private(key):
        _refuse("private_key", "holds a private or symmetric key; publish public keys only, and replace this one")
    for name in _DESCRIPTIVE_MEMBERS:
        member = key.get(name, "absent")
        if not isinstance(member, str) or not 0 < len(member) <= TEXT_CHARACTERS:
            _refuse("wrong_type", f"the member {name} of a key must be a short text")


def _parse_key(key: dict[str, object]) -> dict[str, str]:
    parsed = {name: str(key[name]) for name in _DESCRIPTIVE_MEMBERS if name in key}
    for name in _KEY_MEMBERS[parsed["kty"]]:
        member = key.get(name)
        if not isinstance(member, str) or not _BASE64URL.fullmatch(member):
            _refuse("keys_malformed", f"the member {name} of a key is missing or not base64url")
        parsed[name] = member
    return parsed


def _check_key_ids(keys: list[dict[str, str]]) -> None:
    """Which key an assertion was signed with must never be a guess."""
    if len(keys) == 1:
        return
    names = [key.get("kid") for key in keys]
    if None in names:
        _refuse("kid_missing", "several keys, but not each has a kid")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        _refuse("kid_repeated", f"two keys have the kid {build_quotation(repeated)}")
