"""An https host for client metadata documents, on this machine, with a certificate authority of its own."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nameplate.testing.serving import open_listener, serve_app

__all__ = ["DocumentHost", "HostedDocument", "run_document_host"]


@dataclass(slots=True)
class HostedDocument:
    """What is served at one path. Change it while the host runs."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class DocumentHost:
    """A running host. ``ca_file`` is the PEM file to trust, ``requests`` the paths that were asked for, in order."""

    name: str
    port: int
    ca_file: Path
    documents: dict[str, HostedDocument] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        """The URL of a path on this host."""
        return f"https://{self.name}:{self.port}{path}"

    def publish(self, path: str, members: Mapping[str, object]) -> str:
        """Serve a document with these members, and ``client_id`` as it must be; the client identifier URL."""
        client_id = self.url(path)
        self.documents[path] = HostedDocument(json.dumps({"client_id": client_id, **members}).encode())
        return client_id

    async def answer(self, request: Request) -> Response:
        """Serve what was published, 404 elsewhere."""
        self.requests.append(request.url.path)
        document = self.documents.get(request.url.path)
        if document is None:
            return Response(status_code=404)
        headers = {"Content-Type": document.content_type, **document.headers}
        return Response(document.body, document.status, headers)


@asynccontextmanager
async def run_document_host(directory: Path, *, name: str = "localhost") -> AsyncIterator[DocumentHost]:
    """Run a host under ``name`` on 127.0.0.1; its certificate authority is written into ``directory``."""
    authority = trustme.CA()
    ca_file, certificate_file = directory / "ca.pem", directory / f"{name}.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(certificate_file))
    listener, port = open_listener()
    host = DocumentHost(name=name, port=port, ca_file=ca_file)
    app = Starlette(routes=[Route("/{path:path}", host.answer)])
    async with serve_app(app, listener, certificate_file=certificate_file):
        yield host
