"""Whom the fetcher trusts: the system's certificate authorities and the operator's, and no environment variable."""

import os
import re
import ssl
import sys
from pathlib import Path

from nameplate.errors import ConfigurationError

__all__ = ["build_tls_context"]

# Where distributions keep their bundle when OpenSSL's own compiled-in paths lead nowhere.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")
# A directory with this many authorities is the system's whole store. OpenSSL reads from it only what it needs, when it
# needs it, while a bundle is parsed whole (some 20 ms) by each process.
_WHOLE_STORE = 50


def build_tls_context(trusted_ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """A client context that verifies certificate and name, TLS 1.2 or later; built once, it reads every authority.

    ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and ``SSLKEYLOGFILE`` have no part in it, which is why
    ``ssl.create_default_context`` is not used. Raises ``ConfigurationError`` where there is no authority to trust.
    """
    context = _build_system_context(has_others=trusted_ca_file is not None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if trusted_ca_file is not None:
        _load_authorities(context, trusted_ca_file)
    return context


def _build_system_context(*, has_others: bool) -> ssl.SSLContext:
    if sys.platform in ("darwin", "win32"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bundle, directory = _find_system_authorities()
    if bundle or directory:
        context.load_verify_locations(bundle, directory)
    elif not has_others:
        raise ConfigurationError(
            "fetch.trusted_ca_file", "this system has no certificate authorities; install its ca-certificates package."
        )
    return context


def _find_system_authorities() -> tuple[str | None, str | None]:
    # get_default_verify_paths().cafile follows the environment; the openssl_ attributes are the compiled-in ones.
    paths = ssl.get_default_verify_paths()
    directory = Path(paths.openssl_capath)
    hashed = sum(1 for entry in directory.iterdir() if _HASHED_NAME.fullmatch(entry.name)) if directory.is_dir() else 0
    if hashed >= _WHOLE_STORE:
        return None, str(directory)
    bundle = next((bundle for bundle in (paths.openssl_cafile, *_BUNDLES) if Path(bundle).is_file()), None)
    return bundle, str(directory) if hashed else None


def _load_authorities(context: ssl.SSLContext, file: str | os.PathLike[str]) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            "fetch.trusted_ca_file", f"{os.fspath(file)!r} holds no certificate that can be read ({error})."
        ) from error
