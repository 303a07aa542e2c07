#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the built library may use, need and export: looked at without a GPU.

usage: gate.py TOOLKIT_BIN BUDGET, in csrc/cuda after make
"""
import re
import subprocess
import sys

toolkit, budget_file = sys.argv[1:]
LIBRARY = "build/libcairncuda.so.1"
# Reserved by the system in every kernel with shared memory, from Hopper on.
SYSTEM_SHARED = 1024
# Kernels that must multiply on the tensor cores.
TENSOR_CORES = ("matmul_bf16", "gradient_bf16")
NEEDED = ("libc.so", "libm.so", "libstdc++.so", "libgcc_s.so", "ld-linux", "libdl.so", "librt.so",
          "libpthread.so")
faults = []


def run(*command, text=None):
    return subprocess.run(command, capture_output=True, text=True, check=True, input=text).stdout


def kernel(name):
    """A demangled function without namespaces, return type and arguments."""
    name = name.split("(")[0].split()[-1]
    return name.split("::")[-1]


budget = {}
for line in open(budget_file):
    if line.strip() and not line.startswith("#"):
        name, registers, shared = line.split()
        budget[name] = (int(registers), int(shared))

# Registers, shared and local memory of every kernel in every cubin.
resources = run("c++filt", text=run(f"{toolkit}/cuobjdump", "--dump-resource-usage", LIBRARY))
architecture, used, kernels = None, set(), set()
lines = resources.splitlines()
for line, following in zip(lines, lines[1:]):
    if line.startswith("arch = "):
        architecture = line.split()[-1]
    found = re.match(r" Function (.*):$", line)
    if not found:
        continue
    name = kernel(found[1])
    kernels.add(name)
    use = {key: int(value) for key, value in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", following)}
    if architecture >= "sm_90" and use["SHARED"] >= SYSTEM_SHARED:
        use["SHARED"] -= SYSTEM_SHARED
    row = max((b for b in budget if name.startswith(b)), key=len, default=None)
    if row is None:
        faults.append(f"{architecture}: no budget for {name}")
        continue
    used.add(row)
    registers, shared = budget[row]
    if use["REG"] > registers or use["SHARED"] > shared:
        faults.append(f"{architecture}: {name} uses {use['REG']} registers and {use['SHARED']} bytes, "
                      f"its budget is {registers} and {shared}")
    if use["STACK"] or use["LOCAL"]:
        faults.append(f"{architecture}: {name} uses local memory")
faults += [f"the budget '{name}' fits no kernel" for name in budget if name not in used]

# Launch bounds of every entry, in the embedded PTX.
ptx = run(f"{toolkit}/cuobjdump", "-ptx", LIBRARY)
entries = re.findall(r"\.entry (\w+)\(.*?\)(.*?)\{", ptx, re.S)
faults += [f"{name} has no launch bounds" for name, bounds in entries if ".maxntid" not in bounds]
if len(entries) < len(kernels):
    faults.append(f"the PTX has {len(entries)} kernels of {len(kernels)}")

# No atomic on a floating-point number.
faults += [f"floating-point atomic: {line.strip()}" for line in ptx.splitlines()
           if re.search(r"\b(atom|red)\.\S*\.f(16|32|64)", line)]

# Nothing of NVIDIA's is needed to load, and nothing but the header is exported.
needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", LIBRARY))
faults += [f"the library needs {name}" for name in needed if not name.startswith(NEEDED)]
exported = set(re.findall(r" [TBDRV] (\w+)", run("nm", "-D", "--defined-only", LIBRARY)))
declared = set(re.findall(r"\b(cairn_cuda_\w+)\(", open("include/cairn_cuda.h").read()))
faults += [f"exported, not declared: {name}" for name in sorted(exported - declared)]
faults += [f"declared, not exported: {name}" for name in sorted(declared - exported)]

# The tensor cores are used where it is claimed.
for architecture in ("sm_80", "sm_90"):
    functions = run(f"{toolkit}/cuobjdump", "-sass", "-arch", architecture, LIBRARY).split("Function :")
    for name in TENSOR_CORES:
        code = [body for body in functions if re.match(rf"\s*_Z\w*\d{name}E?\w*\s", body)]
        if not code or not all("HMMA.16816.F32.BF16" in body for body in code):
            faults.append(f"{architecture}: {name} does not use the tensor cores")

for fault in faults:
    print("FAIL", fault)
print(f"{len(kernels)} kernels, {len(entries)} entries in PTX, {len(exported)} exports, "
      f"needs {' '.join(needed)}")
sys.exit(bool(faults))
