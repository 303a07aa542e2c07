# SPDX-License-Identifier: Apache-2.0
"""Holds Cairn's 8-bit and 4-bit weights against numpy's arithmetic and against bitsandbytes.

usage: check.py DRIVER
"""
import subprocess
import sys

import numpy as np
import torch
import bitsandbytes.functional as reference

driver = sys.argv[1]
passed, failed = 0, 0


def check(condition, text):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print("FAILED:", text)


class Parts:
    """What the driver made of a matrix."""

    def __init__(self, w):
        rows, columns = w.shape
        count, stride = w.size, (columns + 63) // 64 * 64
        blocks = (count + 63) // 64
        groups = (blocks + 255) // 256
        answer = subprocess.run(
            [driver, str(rows), str(columns)], input=w.astype("<f4").tobytes(), check=True,
            capture_output=True).stdout
        self.answer, self.at = answer, 0
        self.codes = self.take("i1", rows * stride).reshape(rows, stride)
        self.scales = self.take("<f4", rows)
        self.sums = self.take("<i4", rows)
        self.halves = self.take("u1", (count + 1) // 2)
        self.block_scales = self.take("i1", blocks)
        self.groups = self.take("<f4", groups * 2).reshape(groups, 2)
        self.eight = self.take("<f4", count).reshape(rows, columns)
        self.four = self.take("<f4", count).reshape(rows, columns)
        check(self.at == len(answer), "the driver wrote more than it should")

    def take(self, kind, count):
        part = np.frombuffer(self.answer, kind, count, self.at)
        self.at += part.nbytes
        return part


def eight_bits(w, parts, name):
    largest = np.abs(w).max(axis=1).astype(np.float32)
    scales = largest / np.float32(127)
    codes = np.rint(w * (np.float32(127) / largest)[:, None]).astype(np.int8)
    columns = w.shape[1]
    check((parts.scales == scales).all(), f"{name}: scales of 8 bits")
    check((parts.codes[:, :columns] == codes).all(), f"{name}: codes of 8 bits")
    check((parts.codes[:, columns:] == 0).all(), f"{name}: codes behind the last column")
    check((parts.sums == codes.sum(axis=1, dtype=np.int32)).all(), f"{name}: sums of codes")
    check((parts.eight == codes * scales[:, None]).all(), f"{name}: numbers of 8 bits")


def four_bits(w, parts, name):
    tensor = torch.from_numpy(w.copy())
    packed, state = reference.quantize_4bit(
        tensor, blocksize=64, quant_type="nf4", compress_statistics=False)
    theirs = packed.numpy().view(np.uint8).reshape(-1)
    mine = np.stack([parts.halves >> 4, parts.halves & 15], axis=1).reshape(-1)[: w.size]
    other = np.stack([theirs >> 4, theirs & 15], axis=1).reshape(-1)[: w.size]
    different = (mine != other).sum()
    # Both take the nearest value; a number between two may fall to either by a rounding.
    check(different <= max(2, w.size * 1e-5), f"{name}: {different} of {w.size} codes differ")
    table = state.code.numpy()
    largest = state.absmax.numpy()
    block = np.arange(len(largest))
    scales = parts.block_scales.astype(np.float64) * parts.groups[block // 256, 1] + \
        parts.groups[block // 256, 0]
    step = np.maximum(parts.groups[block // 256, 1], 1e-7 * largest)
    check((np.abs(scales - largest) <= 0.501 * step).all(), f"{name}: scales of the blocks")
    each = scales.astype(np.float32)[np.arange(w.size) // 64].reshape(w.shape)
    expected = table[mine].reshape(w.shape) * each
    check(np.allclose(parts.four, expected, rtol=1e-6, atol=0), f"{name}: numbers of 4 bits")
    # With its own second quantisation, bitsandbytes may be no further from w by more than a little.
    packed, state = reference.quantize_4bit(
        tensor, blocksize=64, quant_type="nf4", compress_statistics=True)
    back = reference.dequantize_4bit(packed, state).numpy()
    mine_error = np.sqrt(((parts.four - w) ** 2).mean())
    their_error = np.sqrt(((back - w) ** 2).mean())
    check(mine_error <= their_error * 1.01, f"{name}: error {mine_error}, theirs {their_error}")
    scale = np.sqrt((w ** 2).mean())
    print(f"{name:24} error of nf4 {mine_error / scale:.5f} of the deviation, bitsandbytes "
          f"{their_error / scale:.5f}; of 8 bits "
          f"{np.sqrt(((parts.eight - w) ** 2).mean()) / scale:.5f}; {different} codes differ")


generator = np.random.default_rng(7)
table = reference.get_4bit_type("nf4", device="cpu").numpy()
for rows, columns in [(64, 64), (384, 1536), (1000, 896), (7, 100), (33, 65)]:
    for kind in ["normal", "uniform", "heavy"]:
        draw = {"normal": generator.standard_normal, "uniform": lambda n: generator.uniform(-1, 1, n),
                "heavy": lambda n: generator.standard_t(3, n)}[kind]
        w = (draw(rows * columns) * 0.04).astype(np.float32).reshape(rows, columns)
        name = f"[{rows}, {columns}] {kind}"
        parts = Parts(w)
        eight_bits(w, parts, name)
        four_bits(w, parts, name)
# The sixteen values themselves: a block of them, with 1 as its largest, comes back as it was.
w = np.tile(table, 4).astype(np.float32).reshape(1, 64)
parts = Parts(w)
check((parts.four == w).all(), f"the table comes back as {parts.four[0, :16]}")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
