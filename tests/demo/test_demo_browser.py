"""``nameplate demo --browser``: the person at the keyboard signs in and decides."""

import asyncio
import os
from pathlib import Path

from demo_process import DemoProcess, start_demo

from nameplate.demo.steps import STORY
from nameplate.testing.headless_user import HeadlessUser


def make_browser(directory: Path) -> tuple[Path, Path]:
    """A program that takes the place of a browser, and the pipe into which it writes the address it is given."""
    pipe, browser = directory / "pipe", directory / "browser"
    os.mkfifo(pipe)
    browser.write_text(f"#!/bin/sh\necho this would spoil the output\nprintf '%s' \"$1\" > '{pipe}'\n")
    browser.chmod(0o700)
    return browser, pipe


async def read_address(pipe: Path) -> str:
    return await asyncio.to_thread(pipe.read_text)


async def finish_in_browser(demo: DemoProcess, pipe: Path) -> None:
    start = (await demo.read_until("start"))["details"]
    async with HeadlessUser(start["username"], start["password"]) as user:
        page = await user.open(await user.authorize(await read_address(pipe)))
        assert page.title == "Finished"
        page = await user.open(await user.authorize(await read_address(pipe)))
        assert page.title == "Finished"


async def play_in_browser(directory: Path) -> None:
    browser, pipe = make_browser(directory)
    async with start_demo(directory, "--browser", BROWSER=str(browser)) as demo:
        await finish_in_browser(demo, pipe)
        assert await demo.read_to_end() == 0
        assert [line["step"] for line in demo.lines] == [step.name for step in STORY]
        assert next(line for line in demo.lines if line["step"] == "consent")["milliseconds"] is None
        messages = await demo.read_messages()
        start = demo.lines[0]["details"]
        assert start["password"] in messages
        assert messages.count(f"{start['authorization_server']}/authorize?") == 2


def test_the_address_is_opened_and_printed_and_the_demo_goes_on_when_the_person_has_answered(tmp_path: Path) -> None:
    asyncio.run(play_in_browser(tmp_path))


async def decline_in_browser(directory: Path) -> tuple[int, DemoProcess]:
    browser, pipe = make_browser(directory)
    async with start_demo(directory, "--browser", BROWSER=str(browser)) as demo:
        start = (await demo.read_until("start"))["details"]
        async with HeadlessUser(start["username"], start["password"]) as user:
            page = await user.open(await user.authorize(await read_address(pipe), "deny"))
            assert page.title == "You declined"
        return await demo.read_to_end(), demo


def test_a_person_who_declines_ends_the_demo_at_the_consent(tmp_path: Path) -> None:
    status, demo = asyncio.run(decline_in_browser(tmp_path))
    assert status == 1
    assert (demo.lines[-1]["step"], demo.lines[-1]["ok"]) == ("consent", False)
    assert demo.lines[-1]["details"]["error"] == "access_denied"
