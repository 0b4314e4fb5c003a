"""The identity providers of a running server: what the operator decided about each, and the way to it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from nameplate.errors import ConfigurationError
from nameplate.protocol.email_address import read_email_address, read_email_domain
from nameplate.protocol.person_record import RecordNeeds
from nameplate.protocol.sign_in_policy import SignInPolicy, check_scopes_by_group
from nameplate.server.upstream_settings import UpstreamSettings, build_preset_settings
from nameplate.upstream.port import Upstream
from nameplate.upstream.presets import build_upstream
from nameplate.upstream.provider import ProviderOptions

__all__ = ["ServedUpstream", "UpstreamPlan", "Upstreams", "plan_upstream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamPlan:
    """What the configuration says of one provider.

    ``claims`` maps our claims to the provider's. ``email_domains`` are those for which it is offered first.
    """

    options: ProviderOptions
    policy: SignInPolicy
    claims: Mapping[str, str]
    scopes_by_group: Mapping[str, Collection[str]] | None
    email_domains: frozenset[str]

    @property
    def record_needs(self) -> RecordNeeds:
        """What has to be remembered of a person, so that all of this can be decided again without asking."""
        rules = {rule.claim: rule.values for rule in self.policy.claims}
        return RecordNeeds(
            claims={**dict.fromkeys(self.claims.values(), ()), **rules},
            groups=self.policy.groups.union(self.scopes_by_group or ()),
        )


def plan_upstream(settings: UpstreamSettings, *, offered: Collection[str]) -> UpstreamPlan:
    """Read one ``[[upstreams]]`` table. ``offered`` are the scopes of all resources.

    Raises ``ConfigurationError``, which names the setting.
    """
    table = f"upstreams.{settings.name}"
    configured = build_upstream(build_preset_settings(settings))
    if settings.scopes_by_group is not None:
        check_scopes_by_group(settings.scopes_by_group, offered=offered, setting=f"{table}.scopes_by_group")
    domains = {domain: read_email_domain(domain) for domain in settings.email_domains}
    for domain, read in domains.items():
        if read is None:
            raise ConfigurationError(f"{table}.email_domains", f"{domain!r} is not a domain.")
    return UpstreamPlan(
        options=configured.options,
        policy=configured.policy,
        claims=configured.claims,
        scopes_by_group=settings.scopes_by_group,
        email_domains=frozenset(read for read in domains.values() if read is not None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedUpstream:
    """A provider, with its own callback URL: none ever answers at another's (RFC 9700 §4.4.2.2, PX-05)."""

    plan: UpstreamPlan
    client: Upstream
    callback: str

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.client.name


class Upstreams:
    """All providers, in the operator's order."""

    def __init__(self, served: Iterable[ServedUpstream]) -> None:
        self._served = {one.name: one for one in served}

    def __iter__(self) -> Iterator[ServedUpstream]:
        return iter(self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def find(self, name: str) -> ServedUpstream | None:
        """The provider of this name; None where the operator has none, or no longer."""
        return self._served.get(name)

    def order_for(self, login_hint: str | None) -> list[ServedUpstream]:
        """All of them, those first that the operator gave the domain of the address in ``login_hint``."""
        address = read_email_address(login_hint) if login_hint else None
        domain = address.domain if address else ""
        return sorted(self, key=lambda one: domain not in one.plan.email_domains)

    async def aclose(self) -> None:
        """Close every connection."""
        for one in self:
            await one.client.aclose()
