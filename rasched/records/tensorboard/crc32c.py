"""CRC-32C (Castagnoli) of many messages of equal length at once.

A CRC is affine over GF(2): the CRC of a message is that of zeros, xor the contribution of each byte at its position. So
one table of 256 entries per position (a byte followed by k zeros) turns the byte-by-byte loop over one message into one
look-up per position for all messages. Positions whose byte is the same in all messages need no look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_BLOCK = 1024  # bytes of a single message at a time: one table per byte is 1 KiB


def _byte_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


@lru_cache(maxsize=32)
def _tables(count: int) -> NDArray[np.uint32]:
    """Return, in row k, what each value of a byte contributes that k zeros follow; `count` rows, a power of 2."""
    tables = np.empty((count, 256), np.uint32)
    tables[0] = _byte_table()
    if count > 1:
        half = count // 2
        tables[:half] = _tables(half)
        for k in range(half, count):
            before = tables[k - 1]
            tables[k] = tables[0][before & np.uint32(0xFF)] ^ (before >> np.uint32(8))
    return tables


def _tables_for(length: int) -> NDArray[np.uint32]:
    return _tables(1 << max(0, length - 1).bit_length())


def crc32c(message: bytes) -> int:
    """Return the CRC-32C of one message."""
    crc = 0xFFFFFFFF
    for start in range(0, len(message), _BLOCK):
        values = np.frombuffer(message[start : start + _BLOCK], np.uint8).copy()
        values[:4] ^= np.frombuffer(crc.to_bytes(4, "little"), np.uint8)[: len(values)]  # what went before
        contributions = _tables_for(len(values))[np.arange(len(values))[::-1], values]
        crc = int(np.bitwise_xor.reduce(contributions)) ^ crc >> 8 * min(4, len(values))
    return crc ^ 0xFFFFFFFF


def crc32c_varying(template: bytes, parts: Iterable[tuple[int, NDArray[np.uint8]]]) -> NDArray[np.uint32]:
    """Return the CRC-32C of messages that differ from a template only where the template has zeros.

    Each part is an offset and the bytes from there on, shape (..., bytes). The shapes before the bytes are broadcast
    against one another and are the shape of the result. Put parts that many messages share first: they are looked up
    once.
    """
    last, tables = len(template) - 1, _tables_for(len(template))
    crc = np.array(crc32c(template), np.uint32)
    for start, part in parts:
        for position in range(part.shape[-1]):
            crc = crc ^ tables[last - start - position].take(part[..., position])
    return crc


def masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Rotate CRCs and add a constant, as TFRecord's framing requires (a CRC of data that holds a CRC is weak)."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def masked_crc32c(message: bytes) -> bytes:
    """Return the masked CRC-32C of one message as in the file (four bytes, little-endian)."""
    return masked(np.array([crc32c(message)], "<u4")).tobytes()
