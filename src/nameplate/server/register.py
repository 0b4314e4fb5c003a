"""``POST /register``: clients without a document register themselves (RFC 7591; architecture decision 19)."""

import logging
import secrets

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from nameplate.errors import RegistrationError, StoreError
from nameplate.ports.store import Spending
from nameplate.ports.verdicts import Full
from nameplate.protocol.client_metadata import ClientMetadata, build_snapshot
from nameplate.protocol.cors import CORS_HEADERS
from nameplate.protocol.registered_client import RegisteredClient
from nameplate.protocol.registration import (
    MAX_REGISTRATION_BYTES,
    build_registration_answer,
    build_too_long_refusal,
    is_registration_media_type,
    needs_secret,
    parse_registration,
)
from nameplate.secret import hash_bearer_value
from nameplate.server.answers import NO_STORE, build_json_error
from nameplate.server.browser import client_host, new_bearer_value
from nameplate.server.context import ServerContext
from nameplate.server.strangers import build_network_spendings

__all__ = ["build_registered_client", "new_client_id", "new_client_secret", "register"]

logger = logging.getLogger("nameplate.server")

# Registrations: (how many at once, how many a second after that). A vendor registers for all its people from few
# addresses, and one that connects registers anew each time. What there is in all is more than twenty times what the
# widest network gets at once, and five times what it gets after that: none shuts out the others (DC-01).
_PER_ADDRESS = (60, 1 / 10)
_IN_ALL = (5000, 2.0)


async def register(request: Request, context: ServerContext) -> Response:
    """Register the client that the body describes; every refusal is RFC-shaped JSON."""
    try:
        _count_attempt(request, context)
        body = await _read_body(request)
        client = parse_registration(body, new_client_id(), context.policy)
        secret = new_client_secret() if needs_secret(client) else None
        # Only what would be kept costs any of this: whoever mends a registration step by step is not shut out.
        await _spend(request, context)
        registered = build_registered_client(
            client, secret, now=context.now(), lifetime_seconds=context.registration.client_seconds
        )
        await _record(registered, context)
    except RegistrationError as error:
        return build_json_error(error)
    except StoreError as error:
        return build_json_error(_store_failed(error), cause=error)
    logger.info("client registered", extra={"client_id": client.client_id, "warnings": client.warnings})
    answer = build_registration_answer(client, secret=secret, issued_at=registered.created_at)
    return JSONResponse(answer, 201, {**CORS_HEADERS, **NO_STORE})


def new_client_id() -> str:
    """An id that is no URL (CIMD draft §8.1), and by its length no secret."""
    return f"npd_{secrets.token_urlsafe(16)}"


def new_client_secret() -> str:
    """A secret for a client."""
    return new_bearer_value("npe")


def build_registered_client(
    client: ClientMetadata, secret: str | None, *, now: int, lifetime_seconds: int | None
) -> RegisteredClient:
    """The client as it is stored. ``lifetime_seconds`` is None for one that stays."""
    return RegisteredClient(
        client_id=client.client_id,
        metadata=build_snapshot(client),
        created_at=now,
        secret_hash=None if secret is None else hash_bearer_value(secret),
        expires_at=None if lifetime_seconds is None else now + lifetime_seconds,
    )


async def _read_body(request: Request) -> bytes:
    """A body that grows past the limit is not read any further, whatever its Content-Length said."""
    if not is_registration_media_type(request.headers.get("content-type", "")):
        raise RegistrationError(
            "invalid_request", "The body must be application/json.", reason="registration.media_type"
        )
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REGISTRATION_BYTES:
                raise build_too_long_refusal()
    except ClientDisconnect:
        raise RegistrationError(
            "invalid_request", "The body ended before it was whole.", reason="registration.disconnected"
        ) from None
    return bytes(body)


def _count_attempt(request: Request, context: ServerContext) -> None:
    """Before anything is read: bodies that are refused cost time too (DO-03)."""
    wait = context.strangers.registration_attempts.spend(client_host(request), context.clock())
    if wait is not None:
        raise _too_many("attempts", wait)


async def _spend(request: Request, context: ServerContext) -> None:
    """All budgets or none: one stranger must not use up what is there for everybody (DC-01)."""
    capacity, refill_per_second = _IN_ALL
    spendings = [
        *build_network_spendings(request, "register", _PER_ADDRESS),
        Spending(budget="register:all", cost=1, capacity=capacity, refill_per_second=refill_per_second),
    ]
    spent = await context.store.spend_all(spendings, now=context.clock())
    if spent is not None:
        raise _too_many(spent, 30)


def _too_many(budget: str, retry_after_seconds: int) -> RegistrationError:
    return RegistrationError(
        "temporarily_unavailable",
        "Too many clients are being registered just now.",
        reason="registration.too_many",
        detail=budget,
        status=429,
        retry_after_seconds=retry_after_seconds,
    )


async def _record(client: RegisteredClient, context: ServerContext) -> None:
    limit = context.registration.max_clients
    if isinstance(await context.store.record_client(client, limit=limit, now=client.created_at), Full):
        raise RegistrationError(
            "temporarily_unavailable",
            "No more clients can be registered just now.",
            reason="registration.full",
            detail=f"{limit} registered clients",
            status=503,
            retry_after_seconds=3600,
        )


def _store_failed(error: StoreError) -> RegistrationError:
    return RegistrationError(
        "temporarily_unavailable",
        "The server cannot keep anything just now.",
        reason="store.failed",
        detail=str(error),
        status=503,
        retry_after_seconds=10,
    )
