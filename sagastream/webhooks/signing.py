"""Signatures of webhooks. Pure; knows no HTTP. **Source**: Standard Webhooks 1.0.0, symmetric signatures."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes


def keys_of(secrets: str) -> tuple[bytes, ...]:
    """Return the keys from one or several secrets, separated by spaces.

    Raises: ``ValueError``, which does not repeat the secrets.
    """
    found = []
    for secret in secrets.split():
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
            raise ValueError(f"must be {_PREFIX} and then {_SHORTEST} to {_LONGEST} random bytes in base64")
        found.append(key)
    if not found:
        raise ValueError("is blank")
    return tuple(found)


def headers(keys: Sequence[bytes], *, id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt, signed with every key; ``at_s`` is its instant (epoch seconds)."""
    content = f"{id}.{at_s}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
