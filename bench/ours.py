"""Our own server as a user runs it: ``nameplate serve`` with a configuration file."""

import json
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Template

from bench.process import ServerProcess, find_free_port, run_server
from bench.resource_app import SCOPES
from bench.visitor import RESOURCE_SERVER, RESOURCE_SERVER_SECRET, Access
from nameplate.testing.document_host import DocumentHost
from nameplate.upstream.local_accounts import hash_password

__all__ = ["PASSWORD", "USERNAME", "Place", "run_ours"]

USERNAME = "ada"
ENCRYPTION_KEY = urlsafe_b64encode(sha256(b"bench").digest()).decode().rstrip("=")
PASSWORD = "correct horse battery staple"
COMMAND = Path(sysconfig.get_path("scripts"), "nameplate")

_CONFIGURATION = Template("""\
issuer = "$issuer"
listen = "$listen"
workers = $workers

[limits]
authorizations_at_once = 10000000
approvals_at_once = 10000000

[store]
url = $store_url
encryption_keys = ["$encryption_key"]

[[accounts]]
username = "$username"
password_hash = "$password_hash"

[[resources]]
identifier = "$resource"
name = "Notes"
scopes = [$scopes]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a server has around it: the host of the clients' documents, the client in use, and the resource."""

    host: DocumentHost
    client_id: str
    redirect_uri: str
    resource: str

    def build_access(self, issuer: str) -> Access:
        """What the visitor of the server at this URL needs."""
        return Access(
            issuer=issuer,
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            resource=self.resource,
            scope=" ".join(SCOPES),
            username=USERNAME,
            password=PASSWORD,
        )


@asynccontextmanager
async def run_ours(
    directory: Path, place: Place, *, store_url: str = "", workers: int = 1
) -> AsyncIterator[tuple[Access, ServerProcess]]:
    """Run our server, with its files in ``directory``, and its store too where no ``store_url`` names another place.

    Raises ``BenchFailed`` where it does not start.
    """
    listen = f"127.0.0.1:{find_free_port()}"
    config_file = directory / "nameplate.toml"
    config_file.write_text(
        _CONFIGURATION.substitute(
            issuer=f"http://{listen}",
            listen=listen,
            # JSON's strings are TOML's
            store_url=json.dumps(store_url or f"sqlite:///{directory / 'nameplate.sqlite3'}"),
            encryption_key=ENCRYPTION_KEY,
            workers=workers,
            resource_server=RESOURCE_SERVER,
            secret_hash=sha256(RESOURCE_SERVER_SECRET.encode()).hexdigest(),
            username=USERNAME,
            password_hash=hash_password(PASSWORD),
            resource=place.resource,
            scopes=", ".join(f'{{ name = "{scope}", description = "Use {scope}" }}' for scope in SCOPES),
            ca_file=json.dumps(str(place.host.ca_file)),
            document_host=place.host.name,
            document_port=place.host.port,
        )
    )
    access = place.build_access(f"http://{listen}")
    command = (str(COMMAND), "serve", "--config", str(config_file))
    async with run_server(command, ready_url=access.metadata_url, log_file=directory / "ours.log") as process:
        yield access, process
