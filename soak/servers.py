"""The server processes: each ``nameplate serve`` with a port of its own, all with one issuer and one store."""

import asyncio
import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from string import Template

import httpx2
from argon2 import PasswordHasher

from nameplate.testing.document_host import DocumentHost
from nameplate.testing.serving import open_listener
from nameplate.vault import generate_encryption_key

__all__ = [
    "ISSUER",
    "PASSWORD",
    "PEOPLE",
    "RESOURCE",
    "RESOURCE_SERVER",
    "RESOURCE_SERVER_SECRET",
    "SCOPE",
    "Servers",
    "run_servers",
]

ISSUER = "https://127.0.0.1:8443"
"""No process answers there: it stands for the balancer in front, so that all processes can share it."""

RESOURCE = "https://127.0.0.1:8444/mcp"
RESOURCE_SERVER = "notes"
RESOURCE_SERVER_SECRET = "a secret for the soak, and for nothing else"
SCOPE = "notes:read notes:write"
PEOPLE = ("ada", "bert", "cleo", "dora")
PASSWORD = "correct horse battery staple"
_START_SECONDS = 60
_STOP_SECONDS = 15

_COMMAND = Path(sysconfig.get_path("scripts"), "nameplate")
_CONFIGURATION = Template("""\
issuer = "$issuer"

[limits]
authorizations_at_once = 10000000
approvals_at_once = 10000000

[store]
url = $store_url
encryption_keys = ["$encryption_key"]

[tokens]
access_token_seconds = 300

[[resources]]
identifier = "$resource"
name = "Notes"
scopes = [{ name = "notes:read", description = "Read" }, { name = "notes:write", description = "Write" }]

[[resource_servers]]
id = "$resource_server"
secret_hash = "sha256:$secret_hash"
resources = ["$resource"]

[fetch]
trusted_ca_file = $ca_file

[[fetch.private_hosts]]
host = "$document_host"
network = "127.0.0.0/8"
ports = [$document_port]
address = "127.0.0.1"
""")
_ACCOUNT = Template("""
[[accounts]]
username = "$username"
password_hash = "$password_hash"
""")


class Servers:
    """The running processes, by number."""

    def __init__(self, config_file: Path, ports: list[int], log_file: Path) -> None:
        self._config_file = config_file
        self._ports = ports
        self._log_file = log_file
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * len(ports)
        self.http = [
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) for port in ports
        ]
        self.kills = 0

    def __len__(self) -> int:
        return len(self._ports)

    async def start(self, number: int) -> None:
        """Start one, and wait until it answers. Raises ``RuntimeError`` with the end of the log where it does not."""
        self._processes[number] = process = self._spawn(number)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while process.poll() is None:
                    try:
                        if (await self.http[number].get("/readyz")).status_code == 200:
                            return
                    except httpx2.TransportError:
                        pass  # nobody listens yet
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        raise RuntimeError(f"server {number} does not start: {self._log_file.read_text(errors='replace')[-2000:]}")

    def _spawn(self, number: int) -> subprocess.Popen[bytes]:
        command = (_COMMAND, "serve", "--config", self._config_file, "--listen", f"127.0.0.1:{self._ports[number]}")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NAMEPLATE_")}
        with self._log_file.open("ab") as log:
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        """End one at once, in the middle of whatever it does."""
        process = self._processes[number]
        if process is not None:
            process.kill()
            process.wait()
            self.kills += 1

    async def stop(self) -> None:
        """End all, in good order. Raises ``RuntimeError`` where one ends badly."""
        running = [process for process in self._processes if process is not None and process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        statuses = [await asyncio.to_thread(process.wait, _STOP_SECONDS) for process in running]
        for client in self.http:
            await client.aclose()
        if any(statuses):
            raise RuntimeError(f"servers ended with {statuses}")


@asynccontextmanager
async def run_servers(directory: Path, host: DocumentHost, store_url: str, count: int) -> AsyncIterator[Servers]:
    """``count`` processes over the store of this URL, with their files in ``directory``."""
    config_file = directory / "nameplate.toml"
    password_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    accounts = (_ACCOUNT.substitute(username=name, password_hash=password_hash) for name in PEOPLE)
    configuration = _CONFIGURATION.substitute(
        issuer=ISSUER,
        store_url=json.dumps(store_url),
        encryption_key=generate_encryption_key(),
        resource=RESOURCE,
        resource_server=RESOURCE_SERVER,
        secret_hash=sha256(RESOURCE_SERVER_SECRET.encode()).hexdigest(),
        ca_file=json.dumps(str(host.ca_file)),
        document_host=host.name,
        document_port=host.port,
    )
    config_file.write_text(configuration + "".join(accounts))
    ports = [_find_free_port() for _ in range(count)]
    servers = Servers(config_file, ports, directory / "servers.log")
    try:
        await asyncio.gather(*(servers.start(number) for number in range(count)))
        yield servers
    finally:
        await servers.stop()


def _find_free_port() -> int:
    listener, port = open_listener()
    listener.close()
    return port
