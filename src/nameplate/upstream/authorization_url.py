"""The URL at a provider to which the browser is sent (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1). Pure."""

from nameplate.protocol.pkce import build_code_challenge
from nameplate.protocol.redirect_uri import build_redirect
from nameplate.protocol.scope import build_scope
from nameplate.upstream.memory import Memory
from nameplate.upstream.port import SignInHints
from nameplate.upstream.provider import ProviderOptions

__all__ = ["build_authorization_url"]


def build_authorization_url(
    endpoint: str, options: ProviderOptions, memory: Memory, *, callback: str, hints: SignInHints
) -> str:
    """The endpoint with the request in its query; what its query holds already stays (RFC 6749 §3.1).

    What the operator set stands above what the client asked for, but ``prompt`` is both: a client's ``login`` must not
    get lost where the provider needs ``consent``.
    """
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": options.client_id,
        "redirect_uri": callback,
        "scope": build_scope(options.scopes),
        "state": memory.state,
        "nonce": memory.nonce,
    }
    if memory.verifier is not None:
        parameters["code_challenge"] = build_code_challenge(memory.verifier)
        parameters["code_challenge_method"] = "S256"
    parameters["resource"] = memory.resource
    parameters |= _build_hints(hints)
    parameters |= options.authorize_parameters
    parameters["prompt"] = _join_prompts(options.authorize_parameters.get("prompt"), hints.prompt)
    return build_redirect(endpoint, {name: value for name, value in parameters.items() if value})


def _build_hints(hints: SignInHints) -> dict[str, str | None]:
    return {
        "login_hint": hints.login_hint,
        "max_age": None if hints.max_age_seconds is None else str(hints.max_age_seconds),
        "acr_values": hints.acr_values,
        "ui_locales": hints.ui_locales,
    }


def _join_prompts(*prompts: str | None) -> str:
    return " ".join(dict.fromkeys(word for prompt in prompts if prompt for word in prompt.split()))
