"""Content codings: whatever the split, the same bytes; bombs, damage and cuts are refused."""

import gzip
import itertools
import random
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl.http.encoding import PIECE_BYTES, TAKEN, open_decoder
from dnsbl.http.problems import Kind, ProblemError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS = {
    "identity": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstd.compress(data),
}


def decode(coding, parts):
    decoder = open_decoder(coding)
    pieces = [piece for part in parts for piece in decoder.feed(part)]
    decoder.finish()
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    return b"".join(pieces)


def split(data, cuts):
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@settings(max_examples=60, deadline=None)
@given(
    coding=st.sampled_from(sorted(COMPRESS)),
    members=st.lists(st.binary(max_size=300), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
)
def test_any_split_of_any_members_gives_the_same_bytes(coding, members, cuts):
    body = b"".join(COMPRESS[coding](member) for member in members)
    assert decode(coding, split(body, cuts)) == b"".join(members)


@pytest.mark.parametrize("coding", sorted(COMPRESS))
@pytest.mark.parametrize("length", [PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES, 3 * PIECE_BYTES + 17])
def test_bodies_around_the_size_of_a_piece(coding, length):
    for data in (bytes(length), random.Random(1).randbytes(length)):
        assert decode(coding, [COMPRESS[coding](data)]) == data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_comes_in_pieces_and_stops_when_asked(coding):
    body = COMPRESS[coding](bytes(200 * PIECE_BYTES))
    assert len(body) < PIECE_BYTES
    pieces = open_decoder(coding).feed(body)
    assert len(next(pieces)) == PIECE_BYTES
    assert len(next(pieces)) == PIECE_BYTES


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_that_is_cut_short_is_refused(coding):
    body = COMPRESS[coding](b"a line\n" * 1000)
    for end in (1, len(body) // 2, len(body) - 1):
        with pytest.raises(ProblemError) as caught:
            decode(coding, [body[:end]])
        assert caught.value.kind is Kind.BAD_BODY


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_is_not_compressed_and_trailing_garbage_are_refused(coding):
    body = COMPRESS[coding](b"a line\n" * 1000)
    for bad in (b"not compressed at all", body + b"garbage"):
        with pytest.raises(ProblemError) as caught:
            decode(coding, [bad])
        assert caught.value.kind is Kind.BAD_BODY


def test_damage_that_the_checksum_shows_is_refused():
    body = bytearray(gzip.compress(random.Random(3).randbytes(1000)))
    body[len(body) // 2] ^= 0xFF
    with pytest.raises(ProblemError, match="not valid gzip"):
        decode("gzip", [bytes(body)])


def test_a_zlib_stream_is_not_gzip():
    with pytest.raises(ProblemError, match="not valid gzip"):
        decode("gzip", [zlib.compress(b"x")])


def test_a_zstd_window_that_needs_too_much_memory_is_refused():
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(random.Random(2).randbytes(1 << 16)) + compressor.flush()
    with pytest.raises(ProblemError) as caught:
        decode("zstd", [body])
    assert caught.value.kind is Kind.BAD_BODY


def test_names_are_read_without_case_and_none_means_identity():
    assert decode(None, [b"x"]) == b"x"
    assert decode(" GZip ", [gzip.compress(b"x")]) == b"x"
    assert decode("x-gzip", [gzip.compress(b"x")]) == b"x"


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", ""])
def test_other_codings_are_refused_with_what_is_taken(coding):
    if coding == "":
        assert decode("", [b"x"]) == b"x"
        return
    with pytest.raises(ProblemError) as caught:
        open_decoder(coding)
    assert caught.value.status == 415
    assert caught.value.headers["Accept-Encoding"] == TAKEN
    assert TAKEN in caught.value.detail
