"""Webhook signatures: HMAC-SHA256 over the raw body (GitHub docs, "Validating webhook deliveries")."""

from __future__ import annotations

import hashlib
import hmac

PREFIX = "sha256="


def sign(secret: str, body: bytes) -> str:
    """Return the value of `X-Hub-Signature-256` for a body."""
    return PREFIX + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(secret: str, body: bytes, signature: str) -> bool:
    """Tell in constant time whether `signature` is the one of `body`; an empty secret signs nothing."""
    return bool(secret) and hmac.compare_digest(sign(secret, body).encode(), signature.encode("utf-8", "surrogateescape"))
