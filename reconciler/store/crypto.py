"""Fingerprints and sealed payloads. Keys come in as bytes; nothing here reads or stores one."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reconciler.errors import StoreError

KEY_BYTES: Final = 32
_MAGIC: Final = b"\x01"
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12


def derive(key: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """A key of its own for one purpose (HKDF-SHA256)."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=f"reconciler {purpose}".encode()).derive(key)


class Fingerprints:
    """Keyed fingerprints of values: equal values of one path give equal fingerprints, and nothing else shows."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Fingerprints(…)"

    def of(self, path: str, value: str) -> str:
        """For people, in plans: ``#`` and 8 hex digits."""
        return "#" + self._digest(path, value)[:8]

    def full(self, path: str, value: str) -> str:
        """For receipts: 32 hex digits."""
        return self._digest(path, value)[:32]

    def _digest(self, *parts: str) -> str:
        # Each part is preceded by its length, so that no two lists of parts give the same bytes.
        encoded = [it.encode("utf-8", "surrogatepass") for it in parts]
        message = b"".join(len(it).to_bytes(8, "big") + it for it in encoded)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


class Sealer:
    """AES-256-GCM with the id of the key in front, for the few payloads that are kept at rest.

    Layout: version (1 byte), key id (4), nonce (12), ciphertext with tag. ``aad`` binds a payload to its row and column.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(derive(key, "seal v1"))
        self._header = _MAGIC + derive(key, "seal id v1", _ID_BYTES)

    def __repr__(self) -> str:
        return "Sealer(…)"

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._header + nonce + self._cipher.encrypt(nonce, plaintext, self._header + aad)

    def fits(self, sealed: bytes) -> bool:
        """Whether this key sealed it."""
        return sealed.startswith(self._header)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Decrypt. Raises ``StoreError`` for another key, another row, or changed bytes."""
        if not self.fits(sealed):
            raise StoreError("a sealed record was made with another key")
        start = len(self._header)
        nonce, body = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, self._header + aad)
        except (InvalidTag, ValueError):
            raise StoreError("a sealed record is damaged, or is not where it was written") from None
