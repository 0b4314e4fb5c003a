"""The ``[[upstreams]]`` tables: identity providers as an operator writes them down."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nameplate.errors import ConfigurationError
from nameplate.secret import Secret
from nameplate.upstream.presets import UpstreamSettings as Preset

__all__ = ["UpstreamSettings", "build_preset_settings"]

Text = Annotated[str, Field(min_length=1, max_length=2048)]
ClaimValue = str | int | bool

_SECRET_BYTES = 8192


class UpstreamSettings(BaseModel):
    """An identity provider. Which settings it needs depends on its `type`; one that has no use is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
    """Our own name for it. Its callback is the issuer with `/callback/NAME`; grants remember the name."""
    type: Annotated[str, Field(max_length=64)]
    """What kind of provider it is: `oidc`, `oauth2`, or a preset."""
    title: Annotated[str, Field(max_length=80)] = ""
    """What the button on the sign-in page calls it."""

    client_id: Text
    """The id that the provider gave this server."""
    client_secret: Annotated[str | None, Field(min_length=1, max_length=_SECRET_BYTES, repr=False)] = None
    """The secret that goes with it."""
    client_secret_file: Path | None = None
    """A file with the secret instead. Relative to the folder of the configuration file."""
    auth_method: Annotated[str | None, Field(max_length=64)] = None
    """How this server proves who it is: `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`.
    Unset: the usual one of the type.
    """
    private_key_file: Path | None = None
    """The private key for `private_key_jwt`, as a JWK. Relative to the folder of the configuration file."""

    issuer: Text | None = None
    """The provider's issuer, byte for byte. `http` only on a loopback address, for development."""
    tenant: Text | None = None
    """The tenant, for providers that have them."""
    domain: Text | None = None
    """The host name of your organization's part of the provider."""
    base_url: Text | None = None
    """Where a provider is that you run yourself."""
    authorization_endpoint: Text | None = None
    """Where people are sent. Like the endpoints below, it comes before what the provider's metadata says."""
    token_endpoint: Text | None = None
    """Where codes are exchanged."""
    userinfo_endpoint: Text | None = None
    """Where the provider says who signed in."""
    jwks_uri: Text | None = None
    """Where the keys lie that sign its ID tokens."""
    revocation_endpoint: Text | None = None
    """Where tokens are ended."""

    scopes: tuple[Text, ...] = ()
    """Scopes to ask the provider for, beside those that signing in needs."""
    audience: Text | None = None
    """The API that the provider's tokens are to be for, where it wants an `audience`."""
    extra_authorize_parameters: dict[str, Text] = {}
    """More parameters for the authorization request."""
    extra_token_parameters: dict[str, Text] = {}
    """More parameters for token requests."""
    passes_resource: bool = False
    """On: the provider is told which resource is meant (`resource`, RFC 8707)."""

    email_domains: tuple[Text, ...] = ()
    """Domains of e-mail addresses for which this provider is offered first, where the client names an address. It
    allows nobody anything.
    """
    allowed_emails: tuple[str, ...] | None = None
    """Addresses of people who may sign in. An address counts only where the provider says that it is verified."""
    allowed_email_domains: tuple[str, ...] | None = None
    """Domains of such addresses: what follows the `@`."""
    allowed_groups: tuple[str, ...] | None = None
    """Groups, of which a person must be in one."""
    allowed_claims: dict[str, tuple[ClaimValue, ...]] | None = None
    """Claims, of each of which one of the values must be there."""
    allow_everybody: bool = False
    """On: whoever has an account at the provider may sign in."""
    scopes_by_group: dict[str, tuple[str, ...]] | None = None
    """Which scopes of the resources people may be given by their groups; `*` is for everybody. Unset: all."""

    subject_claim: Text | None = None
    """The claim with the person's id, which never changes."""
    username_claim: Text | None = None
    """The claim with the account's name."""
    display_name_claim: Text | None = None
    """The claim with the person's name."""
    email_claim: Text | None = None
    """The claim with the e-mail address."""
    email_verified_claim: Text | None = None
    """The claim that says whether the address is verified."""
    groups_claim: Text | None = None
    """The claim with the person's groups."""
    claims: dict[str, Text] = {}
    """Claims for our access tokens, each with the provider's claim that it is taken from."""

    trusted_ca_file: Path | None = None
    """A PEM file of certificate authorities for this provider. Relative to the folder of the configuration file."""
    deadline_seconds: Annotated[float, Field(ge=1, le=60)] = 10
    """The time for one request to the provider."""
    keeps_tokens: bool = False
    """On: the provider's tokens are kept, encrypted, with what the person allowed, for token exchange."""


_OWN = frozenset({"client_secret", "client_secret_file", "email_domains", "scopes_by_group"})


def build_preset_settings(settings: UpstreamSettings) -> Preset:
    """The settings as the presets read them. Raises ``ConfigurationError`` where the secret cannot be read."""
    same = {field.name: getattr(settings, field.name) for field in fields(Preset) if field.name not in _OWN}
    return Preset(client_secret=_read_secret(settings), **same)


def _read_secret(settings: UpstreamSettings) -> Secret | None:
    setting, file = f"upstreams.{settings.name}.client_secret_file", settings.client_secret_file
    if file is None:
        return None if settings.client_secret is None else Secret(settings.client_secret)
    if settings.client_secret is not None:
        raise ConfigurationError(setting, "client_secret is set too; give the secret in one place.")
    try:
        with file.open("rb") as opened:
            data = opened.read(_SECRET_BYTES + 1)
        text = data.decode("ascii").strip("\r\n")
    except OSError as error:
        raise ConfigurationError(setting, f"{file} cannot be read: {type(error).__name__}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(setting, f"{file} holds something else than visible ASCII characters.") from None
    if not text or len(data) > _SECRET_BYTES or not text.isprintable():
        raise ConfigurationError(setting, f"{file} is empty, too long, or has more than one line.")
    return Secret(text)
