import re
from pathlib import Path

import numpy as np

from profiler.observation import (
    EVENT_NAMES,
    OBSERVATION,
    POSTABLE,
    REASON_NAMES,
    REASONS,
    Event,
    Reason,
    Sign,
    empty,
)
from profiler.parse.ndjson import ROW

PXD = Path(__file__).parents[2] / "profiler" / "row.pxd"
C_TYPES = {"int64_t": "<i8", "uint64_t": "<u8", "uint32_t": "<u4", "uint16_t": "<u2", "uint8_t": "|u1"}


def test_the_c_struct_is_the_dtype() -> None:
    declared = re.findall(r"^    (u?int\d+_t) (\w+)(?:\[(\d+)\])?$", PXD.read_text(), re.MULTILINE)
    fields = [
        (name, C_TYPES[kind], (int(times),)) if times else (name, C_TYPES[kind]) for kind, name, times in declared
    ]
    assert np.dtype(fields) == OBSERVATION
    assert "cdef packed struct Row" in PXD.read_text()


def test_a_row_has_96_bytes_without_padding() -> None:
    assert OBSERVATION.itemsize == 96
    ends = 0
    assert OBSERVATION.fields is not None
    for name in OBSERVATION.names or ():
        kind, offset = OBSERVATION.fields[name][:2]
        assert offset == ends, name
        ends += kind.itemsize
    assert ends == OBSERVATION.itemsize


def test_the_packed_row_of_ndjson_is_the_dtype() -> None:
    names = [name for name in OBSERVATION.names or () if name != "spare"]
    row = np.frombuffer(ROW.pack(*range(1, len(names) + 1)), OBSERVATION)[0]
    assert [int(row[name]) for name in names] == list(range(1, len(names) + 1))


def test_what_may_be_posted_is_every_event_but_the_internal() -> None:
    assert set(Event) - set(POSTABLE.values()) == {event for event in Event if event >= Event.ENVELOPE}
    assert POSTABLE["auth_fail"] is Event.AUTH_FAIL
    assert all(EVENT_NAMES[event] == name for name, event in POSTABLE.items())


def test_reasons_are_named_both_ways() -> None:
    assert REASON_NAMES[Reason.NONE] == ""
    assert {name: int(reason) for name, reason in REASONS.items()} == {
        name: number for number, name in REASON_NAMES.items() if name
    }


def test_events_and_reasons_fit_their_columns_and_signs_do_not_overlap() -> None:
    assert max(Event) < 256
    assert max(Reason) < 256
    assert sum(Sign) == int(np.bitwise_or.reduce([int(sign) for sign in Sign])) < 1 << 32


def test_empty_rows_are_zero() -> None:
    assert len(empty()) == 0
    assert empty(2).tobytes() == bytes(192)
