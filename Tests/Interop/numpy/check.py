# SPDX-License-Identifier: Apache-2.0
"""Compares Cairn's npy and npz with numpy's own, both ways.

usage: python check.py CAIRN WORK
"""
import hashlib
import io
import itertools
import os
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np

CAIRN, WORK = sys.argv[1:]
HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = ["?", "i1", "u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8",
          ">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8", ">c8"]
SHAPES = [(), (1,), (7,), (0,), (0, 3), (3, 0), (2, 0, 4), (2, 3), (1, 5), (5, 1), (3, 4, 5), (2, 1, 3, 2)]
LARGE = (1 << 32) + (1 << 27) + 12345
passed = failed = 0


def check(what, holds):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}")


def path(name):
    return os.path.join(WORK, name)


def probe(*arguments):
    return subprocess.run([CAIRN, "formats-probe", *arguments], capture_output=True, text=True)


def probe_or_exit(*arguments):
    done = probe(*arguments)
    if done.returncode != 0:
        sys.exit(f"cairn formats-probe {' '.join(arguments)}: {done.stderr}")


def arrays(generator):
    """Every type in every shape, row-major, Fortran, strided and reversed."""
    for dtype, shape in itertools.product(DTYPES, SHAPES):
        count = int(np.prod(shape, dtype=int))
        raw = generator.integers(0, 256, count * np.dtype(dtype).itemsize, dtype=np.uint8)
        if dtype == "?":
            raw &= 1
        array = raw.view(dtype).reshape(shape)
        name = f"{dtype.replace('?', 'b')}{'x'.join(map(str, shape)) or 's'}"
        yield f"c/{name}", array
        yield f"f/{name}", np.asfortranarray(array)
        if shape and shape[0] > 1:
            yield f"reversed/{name}", array[::-1]
            yield f"transposed/{name}", array.T


def same(found, array):
    """Type apart from byte order, shape and every bit."""
    array = np.ascontiguousarray(array).reshape(array.shape).astype(array.dtype.newbyteorder("<"))
    return (found.dtype == array.dtype and found.shape == array.shape
            and found.tobytes() == array.tobytes())


def check_archives():
    everything = dict(arrays(np.random.default_rng(1)))
    everything["grüße/日本"] = np.arange(3)
    np.savez(path("stored.npz"), **everything)
    np.savez_compressed(path("deflated.npz"), **everything)
    for source, flags in itertools.product(["stored.npz", "deflated.npz"], [[], ["--deflate"]]):
        probe_or_exit("npz", path(source), path("ours.npz"), *flags)
        first = open(path("ours.npz"), "rb").read()
        os.remove(path("ours.npz"))
        probe_or_exit("npz", path(source), path("ours.npz"), *flags)
        check(f"{source} {flags}: the same bytes twice", open(path("ours.npz"), "rb").read() == first)
        check(f"{source} {flags}: zipfile", zipfile.ZipFile(path("ours.npz")).testzip() is None)
        with np.load(path("ours.npz"), allow_pickle=False) as ours:
            check(f"{source} {flags}: names", sorted(ours) == sorted(everything))
            for name, array in everything.items():
                check(f"{source} {flags}: {name}", same(ours[name], array))
        os.remove(path("ours.npz"))
    return len(everything)


def check_single_files():
    """Row-major little-endian arrays get numpy's bytes, others its values."""
    for name, array in arrays(np.random.default_rng(2)):
        if not name.startswith("f/"):
            continue
        np.save(path("in.npy"), array)
        probe_or_exit("npy", path("in.npy"), path("out.npy"))
        expected = io.BytesIO()
        little = array.astype(array.dtype.newbyteorder("<"), order="C")
        np.save(expected, little)
        check(f"bytes of {name}", open(path("out.npy"), "rb").read() == expected.getvalue())


def check_brain_floats():
    """bfloat16 goes as two opaque bytes, the way ml_dtypes saves it."""
    array = np.array([[1.5, -2], [3, float("inf")]], dtype=ml_dtypes.bfloat16)
    np.savez(path("brain.npz"), x=array)
    probe_or_exit("npz", path("brain.npz"), path("brain.out.npz"))
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    probe_or_exit("npz-digests", path("brain.npz"), path("brain.txt"))
    check("bfloat16 is read", open(path("brain.txt")).read() == f"x BF16 [2, 2] {digest}\n")
    found = np.load(path("brain.out.npz"))["x"].view(ml_dtypes.bfloat16)
    check("bfloat16 is written", np.array_equal(found, array))


class Pipe(io.RawIOBase):
    """A file that cannot go back: zipfile then puts sizes behind the data."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def check_unseekable():
    for save in [np.savez, np.savez_compressed]:
        pipe = Pipe()
        array = np.arange(1000, dtype="<i4")
        save(pipe, x=array, empty=np.zeros((0, 2)))
        open(path("pipe.npz"), "wb").write(pipe.data)
        probe_or_exit("npz", path("pipe.npz"), path("pipe.out.npz"))
        check(f"{save.__name__} to a pipe", same(np.load(path("pipe.out.npz"))["x"], array))
        os.remove(path("pipe.out.npz"))


def check_refusals():
    record = np.zeros(2, dtype=[("a", "<f4"), ("b", "<i2")])
    refused = {
        "Python objects": np.array([{}, None], dtype=object), "text": np.array(["a", "bc"]),
        "a record": record, "wider floats": np.zeros(2, dtype=np.longdouble),
        "dates or times": np.zeros(2, dtype="<M8[s]"), "<c16": np.zeros(2, dtype="<c16"),
        "|S3": np.array([b"abc"]),
    }
    for word, array in refused.items():
        np.savez(path("refused.npz"), fine=np.zeros(1), x=array)
        done = probe("npz", path("refused.npz"), path("refused.out.npz"))
        check(f"{word}: {done.stderr}",
              done.returncode == 1 and word in done.stderr and "entry 'x.npy'" in done.stderr)


class SparseFile:
    """A file whose blocks of zeros take no room."""

    def __init__(self, name):
        self.file = open(name, "w+b")

    def write(self, data):
        view = memoryview(data).cast("B")
        step = 1 << 20
        for start in range(0, len(view), step):
            piece = view[start:start + step]
            if len(piece) == step and not any(piece[::4096]) and bytes(piece).count(0) == step:
                self.file.seek(step, os.SEEK_CUR)
            else:
                self.file.write(piece)
        return len(view)

    def __getattr__(self, name):
        return getattr(self.file, name)


def make_raw():
    """A sparse file of more than 4 GiB with marks at its start, around 4 GiB and at its end."""
    with open(path("raw"), "wb") as file:
        for place, text in [(0, b"start"), ((1 << 32) - 3, b"around"), (LARGE - 3, b"end")]:
            file.seek(place)
            file.write(text)
    digest = hashlib.sha256()
    with open(path("raw"), "rb") as file:
        while piece := file.read(1 << 24):
            digest.update(piece)
    return digest.hexdigest()


def entry_start(name, info):
    with open(name, "rb") as file:
        file.seek(info.header_offset + 26)
        lengths = np.frombuffer(file.read(4), dtype="<u2")
    return info.header_offset + 30 + int(lengths.sum())


def check_large():
    digest = make_raw()
    command = f"'{CAIRN}' formats-probe raw-npz '{path('raw')}' /dev/stdout"
    sparse = f"cp --sparse=always /dev/stdin '{path('large.npz')}'"
    subprocess.run(["bash", "-c", f"set -o pipefail; {command} | {sparse}"], check=True)
    with zipfile.ZipFile(path("large.npz")) as archive:
        raw, tail = archive.infolist()
        check("large: size", raw.file_size == LARGE + 128 and raw.compress_type == zipfile.ZIP_STORED)
        check("large: an entry behind 4 GiB", tail.header_offset > 1 << 32)
        check("large: checksums", archive.testzip() is None)
        start = entry_start(path("large.npz"), raw)
        check("large: aligned", start % 64 == 0)
        with archive.open(tail) as file:
            check("large: the array behind it", np.lib.format.read_array(file).tolist() == [1, 2, 3])
    mapped = np.memmap(path("large.npz"), np.uint8, "r", start + 128, (LARGE,))
    marks = [bytes(mapped[:5]), bytes(mapped[(1 << 32) - 3:(1 << 32) + 3]), bytes(mapped[-3:])]
    check("large: marks", marks == [b"start", b"around", b"end"])
    del mapped
    probe_or_exit("npz-digests", path("large.npz"), path("large.txt"))
    check("large: ours read by us", f"raw U8 [{LARGE}] {digest}" in open(path("large.txt")).read())
    os.remove(path("large.npz"))

    file = SparseFile(path("numpy.npz"))
    np.savez(file, raw=np.memmap(path("raw"), np.uint8, "r"), tail=np.float32([1, 2, 3]))
    file.close()
    used = os.stat(path("numpy.npz")).st_blocks * 512
    check(f"large: {used} bytes on disk", used < 1 << 28)
    probe_or_exit("npz-digests", path("numpy.npz"), path("large.txt"))
    check("large: numpy's read by us", f"raw U8 [{LARGE}] {digest}" in open(path("large.txt")).read())
    os.remove(path("numpy.npz"))

    probe_or_exit("raw-npz", path("raw"), path("deflated-large.npz"), "--deflate")
    with zipfile.ZipFile(path("deflated-large.npz")) as archive:
        check("large: deflated", archive.infolist()[0].file_size == LARGE + 128)
        found = hashlib.sha256()
        with archive.open("raw.npy") as file:
            file.read(128)
            while piece := file.read(1 << 24):
                found.update(piece)
        check("large: deflated, read by zipfile", found.hexdigest() == digest)
    size = os.stat(path("deflated-large.npz")).st_size
    return f"{LARGE} bytes, deflated to {size}"


print(f"numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}, Python {sys.version.split()[0]}")
print(f"{check_archives()} arrays through four archives")
check_single_files()
check_brain_floats()
check_unseekable()
check_refusals()
print(check_large())
if np.__version__.startswith("2."):
    golden = subprocess.run([sys.executable, os.path.join(HERE, "golden.py")], capture_output=True, text=True)
    fixture = os.path.join(HERE, "../../CairnFormatsTests/NumPyGolden.swift")
    check("NumPyGolden.swift", golden.stdout == open(fixture).read())
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
