from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from booty_site.github.signature import is_signed, sign


def test_the_signature_is_githubs_own_example() -> None:
    # From GitHub's page "Validating webhook deliveries".
    secret, body = "It's a Secret to Everybody", b"Hello, World!"
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert sign(secret, body) == expected
    assert is_signed(secret, body, expected)


@given(st.text(min_size=1), st.binary())
def test_a_signed_body_is_accepted(secret: str, body: bytes) -> None:
    secret = secret.encode("utf-8", "replace").decode()
    assert is_signed(secret, body, "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())


@given(st.binary(min_size=1), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_body_with_one_changed_byte_is_refused(body: bytes, place: int, change: int) -> None:
    changed = bytearray(body)
    changed[place % len(body)] ^= change
    assert not is_signed("secret", bytes(changed), sign("secret", body))


@given(st.text(), st.binary())
def test_any_other_signature_is_refused_without_an_error(signature: str, body: bytes) -> None:
    assert is_signed("secret", body, signature) is (signature == sign("secret", body))


@given(st.binary())
def test_an_empty_secret_signs_nothing(body: bytes) -> None:
    assert not is_signed("", body, sign("", body))
