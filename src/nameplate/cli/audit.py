"""``nameplate audit``: what happened, as the audit trail in the store tells it."""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

from nameplate.cli.admin import AdminOptions, open_admin
from nameplate.cli.output import build_moment, format_time, print_error, print_json, print_line
from nameplate.errors import ConfigurationError, StoreError
from nameplate.ports.store import AuditStore
from nameplate.protocol.audit import AuditEvent, AuditFilter, AuditName

__all__ = ["audit", "parse_moment"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_EPOCH = re.compile(r"0|[0-9]{9,11}")  # eight digits are a date
_PAGE = 1000
_LOOK_EVERY_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_NAME_WIDTH = 22

_Placed = tuple[str, AuditEvent]
_Text = Annotated[str, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class WhichEvents:
    """Narrows the events; several options must all hold."""

    client: str = ""
    """The client id."""
    subject: _Text = ""
    """The sub of a person."""
    grant: str = ""
    """The id of a grant."""
    name: Annotated[tuple[AuditName, ...], Parameter(negative="")] = ()
    """The event; may be given several times."""

    def admits(self, event: AuditEvent) -> bool:
        """Whether the event is one of them."""
        pairs = ((self.client, event.client_id), (self.subject, event.subject), (self.grant, event.grant_id))
        return all(wanted in ("", found) for wanted, found in pairs) and (not self.name or event.name in self.name)

    def narrow(self, bounds: AuditFilter) -> AuditFilter:
        """The same, as the store takes it."""
        return replace(bounds, names=self.name, client_id=self.client, subject=self.subject, grant_id=self.grant)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of the trail."""

    since: str = ""
    """From then on: 2h, 7d, 2026-11-26T10:00Z, 2026-11-26 (in the time zone of this machine), or epoch seconds. By
    default 1d, with --follow 1m."""
    until: str = ""
    """Up to then, in the same forms."""
    after: str = ""
    """Behind this position, which each event has in its JSON. Who goes on from the last one misses nothing."""
    limit: int | None = None
    """Only the last so many of them."""
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False
    """Go on as events happen, until Ctrl-C, and after times in which the store could not be read."""


_ALL = WhichEvents()
_WINDOW = Window()
_OPTIONS = AdminOptions()


def audit(*, which: WhichEvents = _ALL, window: Window = _WINDOW, options: AdminOptions = _OPTIONS) -> None:
    """Show what happened: who allowed what to which client, and what became of it."""
    now = int(time.time())
    if window.limit is not None and window.limit < 1:
        raise ConfigurationError("--limit", "at least 1.")
    if window.follow and window.until:
        raise ConfigurationError("--until", "does not go with --follow, which has no end.")
    if window.after and window.limit is not None:
        raise ConfigurationError("--limit", "leaves out the oldest, so it does not go with --after.")
    default = "" if window.after else "1m" if window.follow else "1d"
    since = window.since or default
    bounds = AuditFilter(
        since=parse_moment("--since", since, now) if since else None,
        until=parse_moment("--until", window.until, now) if window.until else None,
    )
    asyncio.run(_audit(which, bounds, window, options))


def parse_moment(option: str, text: str, now: int) -> int:
    """The epoch seconds that a person means. Raises ``ConfigurationError`` for ``option``."""
    if match := _AGO.fullmatch(text):
        return max(now - int(match[1]) * _UNITS[match[2]], 0)
    if _EPOCH.fullmatch(text):
        return int(text)
    try:
        return max(int(datetime.fromisoformat(text).astimezone().timestamp()), 0)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(
            option, f"{text!a} is no time: write 2h, 7d, 2026-11-26, 2026-11-26T10:00Z or epoch seconds."
        ) from None


@dataclass(slots=True, kw_only=True)
class _Trail:
    """The audit trail, read up to ``position``."""

    store: AuditStore
    which: AuditFilter
    position: str

    async def read_on(self) -> AsyncIterator[_Placed]:
        """What comes behind the position, up to now."""
        while page := await self.store.load_audit_events(self.which, after=self.position, limit=_PAGE):
            for self.position, event in page:
                yield self.position, event


async def _audit(which: WhichEvents, bounds: AuditFilter, window: Window, options: AdminOptions) -> None:
    show = _print_json if options.json else _print_line
    # Whoever follows reads every event and picks: from the last that was picked on, the store would search all that
    # came since, every second.
    wanted = bounds if window.follow else which.narrow(bounds)
    async with open_admin(options.config) as (_settings, store):
        trail = _Trail(store=store, which=wanted, position=window.after)
        picked = ((position, event) async for position, event in trail.read_on() if which.admits(event))
        shown = 0
        async for position, event in picked if window.limit is None else _pick_last(picked, window.limit):
            show(position, event)
            shown += 1
        if not (shown or options.json or window.follow):
            print_line(f"There are no such events since {format_time(bounds.since or 0)}.")
        if window.follow:
            await _follow(trail, which, show)


async def _follow(trail: _Trail, which: WhichEvents, show: Callable[[str, AuditEvent], None]) -> None:
    """Show what happens. What feeds another system must survive a store that cannot be read for a while."""
    pause = _LOOK_EVERY_SECONDS
    while True:
        await asyncio.sleep(pause)
        try:
            async for position, event in trail.read_on():
                if which.admits(event):
                    show(position, event)
        except StoreError as error:
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            print_error(f"{error}; trying again in {pause:g} s")
            continue
        if pause > _LOOK_EVERY_SECONDS:
            print_error("the store can be read again; nothing was missed")
        pause = _LOOK_EVERY_SECONDS


async def _pick_last(events: AsyncIterator[_Placed], limit: int) -> AsyncIterator[_Placed]:
    last: deque[_Placed] = deque(maxlen=limit)
    async for each in events:
        last.append(each)
    for each in last:
        yield each


def _print_json(position: str, event: AuditEvent) -> None:
    print_json(
        {
            "position": position,
            **build_moment("", event.at),
            "name": event.name,
            "client_id": event.client_id,
            "subject": event.subject,
            "grant_id": event.grant_id,
            "detail": event.detail,
        }
    )


def _print_line(_position: str, event: AuditEvent) -> None:
    about = (
        ("client", event.client_id),
        ("subject", event.subject),
        ("grant", event.grant_id),
        ("detail", event.detail),
    )
    told = "  ".join(f"{name}={value}" for name, value in about if value)
    print_line((format_time(event.at), "dim"), "  ", (event.name.ljust(_NAME_WIDTH), "bold"), told)
