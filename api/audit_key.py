"""The key that signs checkpoints of the audit log: given as a PEM file, or made once for the installation."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.kept import kept
from ledger.audit.notes import Signer

FILE: Final = "audit-key.pem"


class NoAuditKey(Exception):
    """The key file can't be read, or holds no private key of Ed25519."""


def audit_signer(path: Path, origin: str | None) -> Signer:
    """The signer of this installation. Without an origin its log is named by its key. Raises NoAuditKey."""
    try:
        key = serialization.load_pem_private_key(kept(path, _make).encode(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise NoAuditKey(f"{path}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise NoAuditKey(f"{path}: must be a private key of Ed25519 (PEM, PKCS#8)")
    return Signer(origin or f"revshare/{_named(key)}", key)


def _named(key: Ed25519PrivateKey) -> str:
    return sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]


def _make() -> str:
    raw = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return raw.decode()
