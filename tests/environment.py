"""The environment that the test process's own settings are read from; a pytest plugin, loaded before Django.

Every secret is made at run time.
"""

from __future__ import annotations

import os
import secrets
import tempfile

from tests.keys import make_private_key

_state = tempfile.TemporaryDirectory(prefix="booty-tests-")

for _name in list(os.environ):
    if _name.startswith(("BOOTY_", "SENTRY_", "GITHUB_", "WEBHOOK_")) or _name in ("SECRET_KEY", "DEBUG"):
        del os.environ[_name]

os.environ.update(
    SECRET_KEY=secrets.token_urlsafe(50),
    WEBHOOK_SECRET=secrets.token_urlsafe(30),
    ALLOWED_REPOSITORIES="acme/*",
    GITHUB_APP_ID="4711",
    GITHUB_APP_PRIVATE_KEY=make_private_key(),
    BOOTY_STATE_DIR=_state.name,
    # Nothing listens there: a test that needs a broker, GitHub or Sentry starts its own.
    REDIS_URL="redis://127.0.0.1:1/0",
    GITHUB_API_URL="http://127.0.0.1:1/api/v3",
)
