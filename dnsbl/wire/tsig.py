"""Transaction signatures (RFC 8945) over whole messages, on dnspython's primitives.

Bytes, keys and the time in; signed bytes, or why a signature does not hold, out. Knows no socket, clock or file.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dns.exception
import dns.name
import dns.rcode
import dns.tsig
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TSIG import TSIG

ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
#: More than any signature takes: two names, the longest MAC, and what is fixed.
MOST_BYTES = 2 * 255 + 64 + 40
FUDGE_SECONDS = 300
_TIME_BYTES = 6
_COUNT_AT = 10
_U16_END = 1 << 16

# Not typed in dnspython.
_sign: Callable[..., tuple[TSIG, Any]] = dns.tsig.sign
_validate: Callable[..., Any] = dns.tsig.validate
_make: Callable[..., TSIG] = TSIG

#: By name, in lower case, without the final dot.
Keys = Mapping[str, dns.tsig.Key]


def make_key(name: str, algorithm: str, secret: str) -> dns.tsig.Key:
    """Return a key from its secret in base64. ValueError: it is none, or too short."""
    key = dns.tsig.Key(name, secret, algorithm)
    if len(key.secret) < dns.tsig.mac_sizes[key.algorithm] // 2:
        raise ValueError("the secret is shorter than half the hash: make one with tsig-keygen or keymgr -t")
    return key


class Signer:
    """Signs the messages of one answer in their order, each one after the first over the one before, too."""

    def __init__(self, key: dns.tsig.Key, request: TSIG | None = None, error: int = 0, other: bytes = b"") -> None:
        self._key = key
        self._request_mac = request.mac if request else b""
        self._error = error
        self._other = other
        self._context: Any = None

    def sign(self, message: bytes, now: int) -> bytes:
        """Return the message with its signature."""
        number = int.from_bytes(message[:2], "big")
        unsigned = _tsig(self._key.algorithm, now, b"", number, self._error, self._other)
        tsig, self._context = _sign(message, self._key, unsigned, now, self._request_mac, self._context, multi=True)
        return _with_record(message, self._key.name, tsig)


class Check(NamedTuple):
    """What the signature of a request says: whose it is, how to sign the answer, and what is wrong with it."""

    #: The key's name in lower case; empty: no signature, or none that holds.
    key: str = ""
    signer: Signer | None = None
    #: 0, or BADSIG, BADKEY, BADTIME: to be answered by NOTAUTH and :func:`refusal`.
    error: int = 0


def check(data: bytes, start: int, owner: dns.name.Name, tsig: TSIG, keys: Keys, now: int) -> Check:
    """Check the signature ``tsig`` of ``data``, whose record begins at octet ``start``."""
    name = owner.to_text(omit_final_dot=True).lower()
    key = keys.get(name)
    if key is None or key.algorithm != tsig.algorithm:
        return Check(error=dns.rcode.BADKEY)
    try:
        _validate(data, key, key.name, tsig, now, b"", start)
    except dns.tsig.BadTime:
        return Check("", Signer(key, tsig, dns.rcode.BADTIME, now.to_bytes(_TIME_BYTES, "big")), dns.rcode.BADTIME)
    except dns.exception.DNSException:
        return Check(error=dns.rcode.BADSIG)
    return Check(name, Signer(key, tsig))


def refusal(message: bytes, owner: dns.name.Name, tsig: TSIG, checked: Check, now: int) -> bytes:
    """Return an answer with the error of its request's signature (RFC 8945 §5.3.2)."""
    if checked.signer is not None:
        return checked.signer.sign(message, now)
    number = int.from_bytes(message[:2], "big")
    return _with_record(message, owner, _tsig(tsig.algorithm, tsig.time_signed, b"", number, checked.error, b""))


def _tsig(algorithm: dns.name.Name, time: int, mac: bytes, number: int, error: int, other: bytes) -> TSIG:
    return _make(RdataClass.ANY, RdataType.TSIG, algorithm, time, FUDGE_SECONDS, mac, number, error, other)


def _with_record(message: bytes, owner: dns.name.Name, tsig: TSIG) -> bytes:
    data, name = tsig.to_wire(), owner.to_wire()
    # They return None only if they are given a file to write to.
    assert data is not None
    assert name is not None
    count = (int.from_bytes(message[_COUNT_AT : _COUNT_AT + 2], "big") + 1) % _U16_END
    fixed = RdataType.TSIG.to_bytes(2, "big") + RdataClass.ANY.to_bytes(2, "big") + bytes(4)
    record = name + fixed + len(data).to_bytes(2, "big") + data
    return message[:_COUNT_AT] + count.to_bytes(2, "big") + message[_COUNT_AT + 2 :] + record
