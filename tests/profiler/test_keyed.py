import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.keyed import KEY_BYTES, keyed_hash, keyed_hash_lower

# SipHash-2-4 of the bytes 00, 00 01, … under the key 00 01 … 0f: the reference implementation's vectors.
KEY = bytes(range(KEY_BYTES))
VECTORS = {
    0: 0x726FDB47DD0E0E31,
    1: 0x74F839C593DC67FD,
    2: 0x0D6C8009D9A94F5A,
    7: 0xAB0200F58B01D137,
    8: 0x93F5F5799A932462,
    15: 0xA129CA6149BE45E5,
}


@pytest.mark.parametrize(("length", "value"), VECTORS.items())
def test_hash_equals_the_reference(length: int, value: int) -> None:
    assert keyed_hash(KEY, bytes(range(length))) == value


@given(st.binary(max_size=80))
def test_lower_is_the_hash_of_the_lower_case(data: bytes) -> None:
    assert keyed_hash_lower(KEY, data) == keyed_hash(KEY, data.lower())


def test_another_key_gives_another_hash() -> None:
    assert keyed_hash(KEY, b"mx.example") != keyed_hash(bytes(16), b"mx.example")


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes, not 16"):
        keyed_hash(bytes(15), b"")
