"""Opening the parts of a running authorization server, and closing them again, whatever happens."""

import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from nameplate.errors import StoreError
from nameplate.fetch import CachedDocuments, CachedKeySets, FetchOptions, GuardedFetcher
from nameplate.ports.store import Store
from nameplate.protocol.authorization import AuthorizationPolicy
from nameplate.protocol.client_id import ClientIdPolicy
from nameplate.protocol.resource import ProtectedResource, ScopeOffer
from nameplate.protocol.server_metadata import get_issuer_path
from nameplate.server.clock_check import CheckClock, build_clock_check, trust_clock
from nameplate.server.context import Clock, ServerContext
from nameplate.server.encryption_keys import open_vault
from nameplate.server.people import People
from nameplate.server.resource_servers import build_resource_servers
from nameplate.server.settings import Settings
from nameplate.server.settings_checks import build_lifetimes, build_private_hosts
from nameplate.server.signing_keys import SigningKeyRing, build_key_policy
from nameplate.server.strangers import build_stranger_budgets
from nameplate.server.upstreams import ServedUpstream, Upstreams, plan_upstream
from nameplate.stores.open import open_store
from nameplate.upstream.code_flow import open_upstream
from nameplate.upstream.local_accounts import LocalAccount, LocalAccounts

__all__ = ["build_policy", "open_context", "sweep_some"]

logger = logging.getLogger("nameplate.server")

SWEEP_EVERY_SECONDS = 60
SWEEP_ROWS_AT_ONCE = 200


@asynccontextmanager
async def open_context(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[ServerContext]:
    """The running parts of a server with these settings. Raises ``StoreError`` where the store cannot be opened."""
    is_injected, clock = clock is not None, clock or time.time
    policy = build_policy(settings)
    store = await open_store(settings.store.url)
    try:
        check_clock = trust_clock if is_injected else build_clock_check(store, clock)
        vault = await open_vault(settings.store, store)
        fetcher = _build_fetcher(settings, policy, clock)
        documents = _build_documents(settings, policy, store, fetcher, clock)
        key_sets = CachedKeySets(fetcher, policy=policy.client_id, clock=clock)
        accounts, upstreams = _build_accounts(settings), _build_upstreams(settings, clock)
        try:
            context = ServerContext(
                policy=policy,
                tokens=settings.tokens,
                registration=settings.registration,
                strangers=build_stranger_budgets(settings.limits),
                limits=settings.limits,
                lifetimes=build_lifetimes(settings.tokens),
                token_endpoint_audience_clients=settings.cimd.token_endpoint_audience_clients,
                store=store,
                documents=documents,
                key_sets=key_sets,
                resource_servers=build_resource_servers(settings.resource_servers),
                accounts=accounts,
                has_accounts=bool(settings.accounts),
                upstreams=upstreams,
                people=People(accounts, upstreams),
                vault=vault,
                signing_keys=await SigningKeyRing.open(store, vault, build_key_policy(settings), clock, check_clock),
                clock=clock,
                base_path=get_issuer_path(settings.issuer),
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_sweep, store, settings.store.audit_seconds, clock, check_clock)
                tasks.start_soon(context.signing_keys.keep_up)
                yield context
                tasks.cancel_scope.cancel()
        finally:
            await upstreams.aclose()
            await key_sets.aclose()
            await documents.aclose()  # and with it the fetcher that both use
    finally:
        await store.aclose()


def build_policy(settings: Settings) -> AuthorizationPolicy:
    """What the operator decided about authorization requests."""
    return AuthorizationPolicy(
        issuer=settings.issuer,
        resources=tuple(
            ProtectedResource(
                identifier=resource.identifier,
                name=resource.name,
                scopes=tuple(ScopeOffer(name=scope.name, description=scope.description) for scope in resource.scopes),
            )
            for resource in settings.resources
        ),
        documents_enabled=settings.cimd.enabled,
        client_id=ClientIdPolicy(private_hosts=build_private_hosts(settings)),
        allowed_client_redirect_uris=settings.cimd.allowed_client_redirect_uris,
    )


def _build_fetcher(settings: Settings, policy: AuthorizationPolicy, clock: Clock) -> GuardedFetcher:
    options = FetchOptions(
        private_hosts=policy.client_id.private_hosts,
        trusted_ca_file=settings.fetch.trusted_ca_file,
        deadline_seconds=settings.fetch.deadline_seconds,
        max_document_bytes=settings.cimd.max_document_bytes,
    )
    return GuardedFetcher(options, clock=clock)


def _build_documents(
    settings: Settings, policy: AuthorizationPolicy, store: Store, fetcher: GuardedFetcher, clock: Clock
) -> CachedDocuments:
    return CachedDocuments(
        fetcher,
        store=store,
        policy=policy.client_id,
        require_client_name=settings.cimd.require_client_name,
        clock=clock,
    )


def _build_accounts(settings: Settings) -> LocalAccounts:
    return LocalAccounts(
        [
            LocalAccount(
                username=account.username,
                password_hash=account.password_hash,
                display_name=account.display_name or account.username,
                groups=account.groups,
            )
            for account in settings.accounts
        ]
    )


def _build_upstreams(settings: Settings, clock: Clock) -> Upstreams:
    offered = {scope.name for resource in settings.resources for scope in resource.scopes}
    plans = [plan_upstream(upstream, offered=offered) for upstream in settings.upstreams]
    return Upstreams(
        ServedUpstream(
            plan=plan,
            client=open_upstream(plan.options, clock=clock),
            callback=f"{settings.issuer}/callback/{plan.options.name}",
        )
        for plan in plans
    )


async def _sweep(store: Store, audit_seconds: int, clock: Clock, check_clock: CheckClock) -> None:
    """Forget what nothing can need any more, a little at a time. The first round is at a random moment: replicas
    differ.
    """
    pause = secrets.randbelow(SWEEP_EVERY_SECONDS)
    while True:
        await anyio.sleep(pause)
        try:
            await check_clock()
            is_done = await sweep_some(store, int(clock()), audit_seconds=audit_seconds)
        except StoreError:
            logger.exception("sweep failed")
            is_done = True
        pause = SWEEP_EVERY_SECONDS if is_done else 0


async def sweep_some(store: Store, now: int, *, audit_seconds: int) -> bool:
    """One round of the sweep, which keeps audit events for ``audit_seconds``; whether nothing is left to do."""
    swept = await store.sweep(now, limit=SWEEP_ROWS_AT_ONCE, audit_before=now - audit_seconds)
    return swept < SWEEP_ROWS_AT_ONCE
