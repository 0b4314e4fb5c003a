"""Identity providers by name: ``type = "entra"`` and the few fields of its console make a ``ProviderOptions``.

Each module of this package that has a ``PRESET`` is a type, under the module's name. To add one, add one file. Wherever
a provider differs from the standard, its module says where the provider documents that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from nameplate.errors import ConfigurationError
from nameplate.protocol.person_claims import check_claim_mapping, check_claim_path
from nameplate.protocol.sign_in_policy import SignInPolicy, build_sign_in_policy
from nameplate.upstream.presets.preset import Preset, read_allowed_people, refuse
from nameplate.upstream.presets.settings import UpstreamSettings
from nameplate.upstream.provider import ProviderOptions

__all__ = ["ConfiguredUpstream", "UpstreamSettings", "build_upstream", "find_presets"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
# Settings that say the same to every provider; all others are for the presets that name them.
_COMMON_MEMBERS = frozenset(
    {
        *("name", "type", "title", "client_id", "client_secret", "auth_method", "scopes", "claims", "keeps_tokens"),
        *("extra_authorize_parameters", "extra_token_parameters", "trusted_ca_file", "deadline_seconds"),
        *("allowed_emails", "allowed_email_domains", "allowed_claims", "allow_everybody"),
    }
)
# What the operator's setting is called that became this member of ``ProviderOptions``.
_SETTING_NAMES = {
    "authorize_parameters": "extra_authorize_parameters",
    "token_parameters": "extra_token_parameters",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredUpstream:
    """A provider with all that was configured for it. ``claims`` maps our claims to the provider's."""

    options: ProviderOptions
    policy: SignInPolicy
    claims: Mapping[str, str]


@cache
def find_presets() -> Mapping[str, Preset]:
    """All presets by their names, in alphabetical order."""
    modules = {found.name: import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)}
    presets = {name: getattr(module, "PRESET", None) for name, module in sorted(modules.items())}
    return {name: preset for name, preset in presets.items() if isinstance(preset, Preset)}


def build_upstream(settings: UpstreamSettings) -> ConfiguredUpstream:
    """The provider, who of its people may sign in, and what of its claims is taken over.

    Raises ``ConfigurationError``, which names ``upstreams.<name>.<member>``.
    """
    if _NAME.fullmatch(settings.name) is None:
        raise ConfigurationError(
            "upstreams.name", f"{settings.name!r} must be 1 to 64 lower-case letters, digits and hyphens."
        )
    preset = find_presets().get(settings.type)
    if preset is None:
        refuse(settings, "type", f"{settings.type!r} is none of {', '.join(find_presets())}.")
    _check_members(settings, preset)
    table = f"upstreams.{settings.name}"
    if settings.groups_claim is not None:
        check_claim_path(settings.groups_claim, setting=f"{table}.groups_claim")
    check_claim_mapping(settings.claims, setting=f"{table}.claims")
    return ConfiguredUpstream(
        options=_build_options(settings, preset),
        policy=build_sign_in_policy(
            read_allowed_people(settings), is_organization=preset.is_organization(settings), table=table
        ),
        claims=dict(settings.claims),
    )


def _build_options(settings: UpstreamSettings, preset: Preset) -> ProviderOptions:
    try:
        options = preset.build(settings)
    except ConfigurationError as error:
        table, _, member = error.setting.rpartition(".")
        raise ConfigurationError(f"{table}.{_SETTING_NAMES.get(member, member)}", error.problem) from None
    return options if settings.title else replace(options, title=preset.title)


def _check_members(settings: UpstreamSettings, preset: Preset) -> None:
    """What a preset has no use for must not be a setting that silently does nothing."""
    for member in fields(UpstreamSettings):
        if member.name in _COMMON_MEMBERS or member.name in preset.members:
            continue
        if getattr(settings, member.name) != member.default:
            refuse(settings, member.name, f"type {settings.type!r} has no use for it.")
