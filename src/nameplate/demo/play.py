"""Plays the demo from beginning to end."""

import asyncio
import json
import logging
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.shared.exceptions import MCPError

from nameplate.demo.callback import run_callback_listener
from nameplate.demo.logs import KeptLog, only_log_to
from nameplate.demo.people import BrowserPerson, HeadlessPerson, Person
from nameplate.demo.person_watch import PersonWatch
from nameplate.demo.player import Player
from nameplate.demo.report import Notice, Reporter
from nameplate.demo.steps import Detail
from nameplate.demo.story import DemoFailed, Story
from nameplate.demo.tokens import prove_tokens
from nameplate.demo.world import DemoWorld, WorldOptions, open_world
from nameplate.errors import Error
from nameplate.testing.headless_user import HeadlessUser
