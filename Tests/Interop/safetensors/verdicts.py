# SPDX-License-Identifier: Apache-2.0
"""Files on both sides of every rule of the format, for a comparison of verdicts."""
import struct


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(name="a", dtype="F32", shape=(1,), offsets=(0, 4), extra=""):
    return (f'"{name}":{{"dtype":"{dtype}","shape":{list(shape)},'
            f'"data_offsets":{list(offsets)}{extra}}}')


def header(*entries):
    return "{" + ",".join(entries) + "}"


ONE = header(entry())
FOUR = b"\0\0\0\0"
BIG = 2**61
# Bytes of eight elements.
SIZES = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}

ROWS = {
    "plain": file_of(ONE, FOUR),
    **{f"header of {len(ONE) + n} bytes": file_of(ONE + " " * n, FOUR) for n in range(1, 9)},
    "unaligned tensor": file_of(
        header(entry("b", "U8", offsets=(0, 1)), entry(offsets=(1, 5))), FOUR + b"\1"),
    "header starts with a space": file_of(" " + ONE, FOUR),
    "header padded with tabs and lines": file_of(ONE + "\t\r\n", FOUR),
    "header padded with NUL": file_of(ONE + "\0\0", FOUR),
    "hole": file_of(header(entry(), entry("b", offsets=(8, 12))), FOUR * 3),
    "hole at the start": file_of(header(entry(offsets=(4, 8))), FOUR * 2),
    "overlap": file_of(header(entry(), entry("b", offsets=(2, 6))), FOUR * 2),
    "the same bytes twice": file_of(header(entry(), entry("b")), FOUR),
    "duplicate name": file_of(header(entry(), entry(offsets=(4, 8))), FOUR * 2),
    "duplicate name, equal entries": file_of(header(entry(), entry()), FOUR),
    "bytes after the last tensor": file_of(ONE, FOUR + b"\0"),
    "truncated data": file_of(ONE, FOUR[:3]),
    "truncated header": file_of(ONE, length=len(ONE) + 1),
    "eight bytes": struct.pack("<Q", 0),
    "seven bytes": b"\2\0\0\0\0\0\0",
    "empty file": b"",
    "size against shape": file_of(header(entry(shape=(2,))), FOUR),
    "offsets backwards": file_of(header(entry(offsets=(4, 0))), FOUR),
    "three offsets": file_of(header(entry(offsets=(0, 4, 8))), FOUR),
    "negative dimension": file_of(header(entry(shape=(-1,))), FOUR),
    "fractional dimension": file_of(header(entry(shape=(1.0,))), FOUR),
    "dimensions that overflow": file_of(header(entry(shape=(BIG, BIG))), FOUR),
    "dimensions that overflow, then zero": file_of(
        header(entry(shape=(BIG, BIG, 0), offsets=(0, 0)))),
    "zero, then dimensions that overflow": file_of(
        header(entry(shape=(0, BIG, BIG), offsets=(0, 0)))),
    "offsets that overflow": file_of(header(entry(offsets=(2**64 - 4, 2**64))), FOUR),
    "unknown dtype": file_of(header(entry(dtype="F31")), FOUR),
    "dtype in small letters": file_of(header(entry(dtype="f32")), FOUR),
    **{f"dtype {name}": file_of(
        header(entry(dtype=name, shape=(8,), offsets=(0, size))), bytes(size))
       for name, size in SIZES.items()},
    "half a byte": file_of(header(entry(dtype="F4", offsets=(0, 1))), b"\0"),
    "metadata of strings": file_of(header('"__metadata__":{"a":"b"}', entry()), FOUR),
    "metadata with a number": file_of(header('"__metadata__":{"a":1}', entry()), FOUR),
    "metadata with null": file_of(header('"__metadata__":{"a":null}', entry()), FOUR),
    "metadata is null": file_of(header('"__metadata__":null', entry()), FOUR),
    "metadata is a list": file_of(header('"__metadata__":[]', entry()), FOUR),
    "metadata key twice": file_of(header('"__metadata__":{"a":"b","a":"c"}', entry()), FOUR),
    "extra key in an entry": file_of(header(entry(extra=',"more":[1]')), FOUR),
    "dtype twice": file_of(header(entry(extra=',"dtype":"F32"')), FOUR),
    "no dtype": file_of(header('"a":{"shape":[1],"data_offsets":[0,4]}'), FOUR),
    "no shape": file_of(header('"a":{"dtype":"F32","data_offsets":[0,4]}'), FOUR),
    "no offsets": file_of(header('"a":{"dtype":"F32","shape":[1]}'), FOUR),
    "entry is a number": file_of(header('"a":1')),
    "scalar": file_of(header(entry(shape=())), FOUR),
    "empty tensor": file_of(header(entry(shape=(0, 4), offsets=(0, 0)))),
    "empty header object": file_of("{}"),
    "header is a list": file_of("[]"),
    "header is no JSON": file_of("{a}"),
    "trailing comma": file_of("{" + entry() + ",}", FOUR),
    "byte-order mark": file_of(b"\xef\xbb\xbf" + ONE.encode(), FOUR),
    "not UTF-8": file_of(ONE.encode().replace(b'"a"', b'"\xff"'), FOUR),
    "empty name": file_of(header(entry("")), FOUR),
    "name with escapes": file_of(header(entry("\\u00e9\\\"\\n")), FOUR),
    "lone surrogate": file_of(header(entry("\\ud800")), FOUR),
    "two Unicode forms of a name": file_of(
        header(entry("\u00e9"), entry("e\u0301", offsets=(4, 8))), FOUR * 2),
    "header of 100 MB and one byte": file_of("{", length=100_000_001),
}

# Where Cairn refuses what the library takes, and why.
STRICTER = {
    "duplicate name, equal entries": "a key twice leaves open which one was meant",
    "metadata is null": "the format asks for an object",
    "metadata key twice": "a key twice leaves open which one was meant",
    "two Unicode forms of a name": "Swift's strings would take one for the other",
}
