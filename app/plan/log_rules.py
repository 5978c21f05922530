"""Rules that tie the settings of the log together, or to files of this host."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from app.contract.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.host.machine import Host
    from app.settings import Settings


def targets_differ(settings: Settings, _host: Host) -> Iterator[Problem]:
    """Two queues for one server would send it everything twice."""
    seen = set()
    for target in settings.logs.log_forward:
        if target in seen:
            yield Problem("KA_LOG_FORWARD", f"cannot name {target} again; each server must be named once")
        seen.add(target)


def certificates_are_whole(settings: Settings, _host: Host) -> Iterator[Problem]:
    """A certificate and its key come together."""
    logs = settings.logs
    if logs.log_forward_cert and not logs.log_forward_key:
        yield Problem("KA_LOG_FORWARD_KEY", "is not set; it must be the key of KA_LOG_FORWARD_CERT")
    if logs.log_forward_key and not logs.log_forward_cert:
        yield Problem("KA_LOG_FORWARD_CERT", "is not set; it must be the certificate of KA_LOG_FORWARD_KEY")


def certificates_are_used(settings: Settings, _host: Host) -> Iterator[Problem]:
    """Certificates without TLS: what was thought to be encrypted is not."""
    logs = settings.logs
    if any(target.is_tls for target in logs.log_forward):
        return
    for variable, value in (
        ("KA_LOG_FORWARD_CA", logs.log_forward_ca),
        ("KA_LOG_FORWARD_CERT", logs.log_forward_cert),
        ("KA_LOG_FORWARD_KEY", logs.log_forward_key),
        ("KA_LOG_FORWARD_NAME", logs.log_forward_name),
    ):
        if value:
            sentence = "cannot be used, KA_LOG_FORWARD names no tls:// server; leave it out"
            yield Problem(variable, sentence)


def ca_can_be_read(settings: Settings, host: Host) -> Iterator[Problem]:
    """The file of KA_LOG_FORWARD_CA."""
    path = settings.logs.log_forward_ca
    if path is None:
        return
    try:
        host.files.use_certificates(path)
    except OSError as error:
        yield _unusable("KA_LOG_FORWARD_CA", path, error, "certificates in PEM form")
    except ValueError as error:
        why = "it is no text" if isinstance(error, UnicodeError) else "it is empty"
        yield Problem("KA_LOG_FORWARD_CA", f"cannot use {path}: {why}; it must be certificates in PEM form")


def key_fits_certificate(settings: Settings, host: Host) -> Iterator[Problem]:
    """The files of KA_LOG_FORWARD_CERT and KA_LOG_FORWARD_KEY."""
    cert, key = settings.logs.log_forward_cert, settings.logs.log_forward_key
    if cert is None or key is None:
        return
    for variable, path in (("KA_LOG_FORWARD_CERT", cert), ("KA_LOG_FORWARD_KEY", key)):
        try:
            host.files.text(path, "ascii")
        except OSError as error:
            yield _unusable(variable, path, error, "a file that can be read")
            return
        except ValueError:
            yield Problem(variable, f"cannot use {path}: it is no text; it must be in PEM form")
            return
    try:
        host.files.use_key(cert, key)
    except OSError as error:
        sentence = f"cannot use {key} with {cert}: {_reason(error)}; it must be the unencrypted key of that certificate"
        yield Problem("KA_LOG_FORWARD_KEY", sentence)


def _unusable(variable: str, path: Path, error: OSError, must: str) -> Problem:
    return Problem(variable, f"cannot use {path}: {_reason(error)}; it must be {must}")


def _reason(error: OSError) -> str:
    """ssl.SSLError says where in OpenSSL's source it was raised; nobody wants that."""
    if isinstance(error, ssl.SSLError):
        return error.reason.replace("_", " ").lower() if error.reason else "OpenSSL cannot read it"
    return error.strerror or str(error)


LOG_RULES = (targets_differ, certificates_are_whole, certificates_are_used, ca_can_be_read, key_fits_certificate)
