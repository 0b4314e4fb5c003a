"""Client identifier URLs: which strings may identify a client by a document at that very URL (CIMD draft §3).

Identifiers are compared byte for byte (RFC 3986 §6.2.1), so nothing here changes the string: a second spelling of the
same URL is either refused or another client. The host must be a name that can exist on the public Internet, unless the
operator declared it as a private host.
"""

from dataclasses import dataclass

from nameplate.errors import ClientIdError
from nameplate.protocol.fault import Fault
from nameplate.protocol.host_names import find_host_name_fault, find_public_name_fault
from nameplate.protocol.private_hosts import PrivateHost, is_declared
from nameplate.protocol.urls import HttpsUrl, find_target_fault, is_permitted_port, read_https_url

__all__ = ["CIMD_DRAFT", "ClientIdPolicy", "ClientIdUrl", "is_client_id_url", "parse_client_id"]

CIMD_DRAFT = "draft-ietf-oauth-client-id-metadata-document-02 (2026-07-06)"
"""The revision whose rules stand here and in ``client_metadata``.

The section numbers cited are those of the editors' text of 2026-09-20 that became -03, whose rules on client
authentication are followed too. The published -03 (2026-11-02) could not be compared yet.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdUrl:
    """A client identifier URL that obeys every rule.

    ``text`` is the identifier byte for byte, ``host`` its host as written, ``port`` the port to dial, ``target`` path
    and query as they are sent.
    """

    text: str
    host: str
    port: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdPolicy:
    """What an operator admits beyond the default rules: the path ``/``, and hosts that are no public names."""

    allow_root_path: bool = False
    private_hosts: tuple[PrivateHost, ...] = ()


_DEFAULT_POLICY = ClientIdPolicy()


def is_client_id_url(text: str) -> bool:
    """Whether an identifier claims to be a URL, well-formed or not. Such an id is never looked up as anything else."""
    return text[:6].lower() == "https:" or text[:5].lower() == "http:"


def parse_client_id(text: str, policy: ClientIdPolicy = _DEFAULT_POLICY) -> ClientIdUrl:
    """The client identifier URL that ``text`` is, byte for byte.

    Raises ``ClientIdError`` with the slug of the first broken rule (``client_id.fragment``). CIMD draft §3.
    """
    url = read_https_url(text)
    if isinstance(url, Fault):
        raise _refusal(url)
    fault = _find_path_fault(url, policy) or find_target_fault(url) or _find_host_fault(url, policy)
    if fault is not None:
        raise _refusal(fault)
    return ClientIdUrl(text=text, host=url.host, port=url.port, target=url.target)


def _refusal(fault: Fault) -> ClientIdError:
    return ClientIdError(f"client_id.{fault.reason}", fault.problem)


def _find_path_fault(url: HttpsUrl, policy: ClientIdPolicy) -> Fault | None:
    if url.fragment is not None:
        return Fault(reason="fragment", problem="contains a fragment, even if it is empty")
    if not url.path:
        return Fault(reason="path_missing", problem="has no path")
    if not url.path.strip("/") and not (url.path == "/" and policy.allow_root_path):  # decision 4
        return Fault(
            reason="root_path", problem="the path is only /; name the document, /oauth/client.json for example"
        )
    return None


def _find_host_fault(url: HttpsUrl, policy: ClientIdPolicy) -> Fault | None:
    fault = find_host_name_fault(url.host)
    if fault is not None or is_declared(policy.private_hosts, url.host, url.port):
        return fault
    if not is_permitted_port(url.port):
        return Fault(reason="port", problem="the port is neither 443 nor a usual one from 1024 up")
    return find_public_name_fault(url.host)
