"""CRC-32C (Castagnoli) of many messages of equal length at once.

A CRC is affine over GF(2): the CRC of a message is that of zeros, xor what each byte contributes from its place. So one
table of 256 entries a place (a byte followed by k zeros) turns the byte-by-byte loop of one message into one look-up a
place for all messages, and places whose byte is the same in all of them need no look-up at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed


def _byte_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


_BYTE = _byte_table()
_BYTE_LIST: list[int] = _BYTE.tolist()  # indexing a list is ten times faster than indexing an array


@lru_cache(maxsize=256)  # templates come back with each chunk and each run
def crc32c(message: bytes) -> int:
    """CRC-32C of one message, byte by byte."""
    crc = 0xFFFFFFFF
    for byte in message:
        crc = _BYTE_LIST[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@lru_cache(maxsize=4096)  # 1 KiB each, shared by all lengths of message
def _followed_by_zeros(count: int) -> NDArray[np.uint32]:
    if count == 0:
        return _BYTE
    before = _followed_by_zeros(count - 1)
    longer: NDArray[np.uint32] = _BYTE[before & np.uint32(0xFF)] ^ (before >> np.uint32(8))
    return longer


def crc32c_varying(template: bytes, parts: Iterable[tuple[int, NDArray[np.uint8]]]) -> NDArray[np.uint32]:
    """CRC-32C of messages that differ from a template at some places only, where the template holds zeros.

    Each part is a place (counted from 0) and the bytes that stand from there on, shape (..., bytes); the shapes before
    the bytes are broadcast against one another, and are the result's. Parts that many messages share come first, since
    they are looked up once.
    """
    last = len(template) - 1
    for zeros in range(last):  # fill the cache from short to long: recursion stays one call deep
        _followed_by_zeros(zeros)
    crc = np.array(crc32c(template), np.uint32)
    for start, part in parts:
        for place in range(part.shape[-1]):
            crc = crc ^ _followed_by_zeros(last - start - place).take(part[..., place])
    return crc


def masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Rotate CRCs and add a constant, as TFRecord's framing wants it (a CRC of data that holds a CRC is weak)."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def masked_crc32c(message: bytes) -> bytes:
    """Masked CRC-32C of one message, as it stands in the file (four bytes, little-endian)."""
    return masked(np.array([crc32c(message)], "<u4")).tobytes()
