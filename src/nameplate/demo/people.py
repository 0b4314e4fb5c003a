"""Who signs in and allows: a person without a browser, or the one at the keyboard with theirs."""

import asyncio
import contextlib
import subprocess
import sys
from types import TracebackType
from typing import Protocol

import anyio

from nameplate.demo.report import Notice, Reporter
from nameplate.demo.story import DemoFailed
from nameplate.demo.world import Account
from nameplate.testing.headless_user import HeadlessUser

__all__ = ["BrowserPerson", "HeadlessPerson", "Person"]


_SIGN_IN = "Sign in with this account, then allow the access. If no window opens, open this address yourself:"
_ALLOW_MORE = "Allow the wider access. If no window opens, open this address yourself:"


class Person(Protocol):
    """Somebody who is sent to the authorization server."""

    async def authorize(self, url: str) -> None:
        """Begin to answer; the answer itself reaches the client at its redirect URI."""
        ...


class HeadlessPerson:
    """Reads the pages, fills in the forms, follows the redirect back to the client."""

    def __init__(self, user: HeadlessUser, *, answer: str = "allow") -> None:
        self._user = user
        self._answer = answer

    async def authorize(self, url: str) -> None:
        """All the way. Raises ``DemoFailed`` where a page is another than was to be expected."""
        try:
            await self._user.open(await self._user.authorize(url, self._answer))
        except LookupError as error:
            raise DemoFailed(f"The person cannot go on: {error}.") from error


class BrowserPerson:
    """Opens the address in the browser of whoever runs the demo, and tells them what to do there."""

    def __init__(self, account: Account, reporter: Reporter) -> None:
        self._account = account
        self._reporter = reporter
        self._openings: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "BrowserPerson":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opening in self._openings:
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await opening

    async def authorize(self, url: str) -> None:
        """Show what to do, and open the browser, if there is one."""
        is_first = not self._openings
        account = {"user name": self._account.username, "password": self._account.password}
        self._reporter.say(
            Notice(
                title="Your turn, in your browser" if is_first else "Your turn once more",
                text=_SIGN_IN if is_first else _ALLOW_MORE,
                facts=account if is_first else {},
                link=url,
                waits_for="waiting for you in the browser",
            )
        )
        self._openings.append(asyncio.create_task(_open_browser(url)))


async def _open_browser(url: str) -> None:
    """In a process of its own: some browsers stay until they are closed, or write to the terminal."""
    await anyio.run_process(
        [sys.executable, "-m", "webbrowser", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        start_new_session=True,
    )
