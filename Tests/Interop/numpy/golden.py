# SPDX-License-Identifier: Apache-2.0
"""Prints Tests/CairnFormatsTests/NumPyGolden.swift: what numpy itself writes.

usage: python golden.py > NumPyGolden.swift
"""
import io

import numpy as np


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archived(save, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


matrix = np.array([[1, 2.5, -3], [4, 5, 6]], dtype="<f4")
few = {"w": np.array([1, -2], dtype="<i2"), "s": np.float64(0.5)}
files = {
    "matrix": saved(matrix),
    "matrix in Fortran order": saved(np.asfortranarray(matrix)),
    "big-endian vector": saved(np.array([1, 258], dtype=">u2")),
    "scalar": saved(np.array(True)),
    "empty": saved(np.zeros((0, 3), dtype="<f2")),
    "stored archive": archived(np.savez, **few),
    "deflated archive": archived(np.savez_compressed, **few),
}
print("// SPDX-License-Identifier: Apache-2.0")
print("/// What numpy itself writes, in hexadecimal: written by Tests/Interop/numpy/golden.py.")
print()
print("enum NumPyGolden {")
print("    static let files: [String: String] = [")
for name, data in files.items():
    print(f'        "{name}": """')
    text = data.hex()
    for start in range(0, len(text), 88):
        print(" " * 8 + text[start:start + 88])
    print(" " * 8 + '""",')
print("    ]")
print("}")
