"""Who is calling: a personal access token, the App itself, or its installation."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from tests.doubles.github.refusals import Refusal, bad_credentials
from tests.doubles.github.state import AppIdentity, User

LONGEST_JWT = 600


@dataclass(frozen=True)
class Caller:
    """The one who makes a request; ``kind`` is token, installation or app."""

    kind: str
    user: User
    # Of an installation token only: what it was asked for, and for which
    # repositories (None is all of the installation).
    permissions: Mapping[str, str] = field(default_factory=dict)
    repositories: frozenset[str] | None = None

    @property
    def by_app(self) -> bool:
        """Tell whether the App's installation acts."""
        return self.kind == "installation"


@dataclass
class Authenticator:
    """Knows all valid tokens; installation tokens run out."""

    app: AppIdentity | None
    app_user: User
    people: dict[str, User] = field(default_factory=dict)
    _installation: dict[str, tuple[datetime, Caller]] = field(default_factory=dict)

    def new_installation_token(self, permissions: Mapping[str, str], repositories: frozenset[str] | None) -> tuple[str, datetime]:
        """Make an installation token and tell until when it holds."""
        seconds = self.app.token_seconds if self.app else 0
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        token = f"ghs_{secrets.token_hex(18)}"
        caller = Caller("installation", self.app_user, permissions, repositories)
        self._installation[token] = (until, caller)
        return token, until

    def expire_installation_tokens(self) -> None:
        """Make all installation tokens handed out so far invalid."""
        self._installation.clear()

    def by_token(self, token: str) -> Caller | None:
        """Return the caller with a token, or None when it is not valid."""
        person = self.people.get(token)
        if person is not None:
            return Caller("token", person)
        until, caller = self._installation.get(token, (None, None))
        return caller if until is not None and until > datetime.now(UTC) else None

    def by_header(self, header: str | None) -> Caller:
        """Return the caller of an API request, or refuse."""
        if not header:
            raise Refusal(401, "Requires authentication")
        scheme, _, value = header.partition(" ")
        value = value.strip()
        if scheme.lower() == "basic":
            found = self.by_basic(header)
            if found is None:
                raise bad_credentials()
            return found
        if scheme.lower() not in ("bearer", "token"):
            raise bad_credentials()
        if value.count(".") == 2:
            return self._by_jwt(value)
        caller = self.by_token(value)
        if caller is None:
            raise bad_credentials()
        return caller

    def by_basic(self, header: str | None) -> Caller | None:
        """Return the caller git names: the token is the password, any user name."""
        scheme, _, value = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            pair = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self.by_token(pair.partition(":")[2])

    def _by_jwt(self, token: str) -> Caller:
        undecodable = Refusal(401, "A JSON web token could not be decoded")
        if self.app is None:
            raise undecodable
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.app.public_key_pem,
                algorithms=["RS256"],
                # The App's id comes as a number or as text; compared below.
                options={"require": ["exp", "iat", "iss"], "verify_iss": False},
                leeway=0,
            )
        except jwt.ExpiredSignatureError:
            words = "'Expiration time' claim ('exp') must be a numeric value in the future"
            raise Refusal(401, words) from None
        except jwt.ImmatureSignatureError:
            words = "'Issued at' claim ('iat') must be in the past"
            raise Refusal(401, words) from None
        except jwt.InvalidTokenError:
            raise undecodable from None
        if str(claims["iss"]) != str(self.app.app_id):
            raise Refusal(401, "'Issuer' claim ('iss') must be an Integer")
        if claims["exp"] - time.time() > LONGEST_JWT:
            raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
        return Caller("app", self.app_user)
