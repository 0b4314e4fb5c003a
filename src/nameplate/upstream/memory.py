"""What must be known again when the browser comes back. The caller keeps it sealed; it never goes to the provider."""

import json
from dataclasses import asdict, dataclass, field

from nameplate.errors import UpstreamError
from nameplate.protocol.fault import Fault, build_quotation
from nameplate.protocol.pkce import is_code_verifier
from nameplate.protocol.strict_json import read_json_object

__all__ = ["Memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One sign-in under way. ``name`` is the provider's, ``begun_at`` is epoch seconds.

    ``verifier`` and ``nonce`` are None where the provider takes neither. ``resource`` is what was asked for, and will
    be at the token endpoint.
    """

    name: str
    state: str = field(repr=False)
    begun_at: int
    nonce: str | None = field(repr=False)
    verifier: str | None = field(repr=False)
    max_age_seconds: int | None
    resource: str | None

    def to_json(self) -> bytes:
        """As bytes, in clear."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> "Memory":
        """What ``to_json`` wrote at the provider of this ``name``.

        Raises ``UpstreamError`` ``server_error``: a sign-in that was begun at one provider is not completed at another
        (PX-05), and whatever else comes was not ours.
        """
        members = read_json_object(data)
        if isinstance(members, Fault):
            raise _build_refusal("it is no JSON object")
        if members.get("name") != name:
            raise _build_refusal(
                f"it belongs to a sign-in at {build_quotation(str(members.get('name')))}, and not at {name!r}"
            )
        match members:
            case {
                "state": str(state),
                "begun_at": int(begun_at),
                "nonce": str() | None as nonce,
                "verifier": str() | None as verifier,
                "max_age_seconds": int() | None as max_age_seconds,
                "resource": str() | None as resource,
            } if state and (verifier is None or is_code_verifier(verifier)):
                return cls(
                    name=name,
                    state=state,
                    begun_at=begun_at,
                    nonce=nonce,
                    verifier=verifier,
                    max_age_seconds=max_age_seconds,
                    resource=resource,
                )
        raise _build_refusal("a member is missing or malformed")


def _build_refusal(problem: str) -> UpstreamError:
    return UpstreamError(
        "server_error",
        "The sign-in cannot be continued here.",
        reason="upstream.memory",
        detail=f"what was remembered of the sign-in: {problem}",
    )
