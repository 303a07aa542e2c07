#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one fault at a time in a copy of the kernels and reports which check of the simulator finds it.

usage: mutants.py [PART_OF_A_NAME ...], in csrc/cuda; SANITIZERS=0 leaves ASan and TSan out, which
look only at what the plain simulator did not find. A fault that nothing finds is a missing test, or
changes nothing and says so in HARMLESS; one that does neither makes the exit code 1.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile


def barrier(file, tag):
    """Takes away the line with a barrier of that name."""
    return file, lambda text: re.sub(r"\n[^\n]*// SYNC:%s\b[^\n]*" % tag, "\n", text, count=1)


def swap(file, old, new):
    return file, lambda text: text.replace(old, new, 1)


MUTANTS = {
    # Barriers.
    "no barrier: row-publish": barrier("reduce.cuh", "row-publish"),
    "no barrier: row-reuse": barrier("reduce.cuh", "row-reuse"),
    "no barrier: fp32-reuse": barrier("matmul_fp32.cuh", "fp32-reuse"),
    "no barrier: fp32-loaded": barrier("matmul_fp32.cuh", "fp32-loaded"),
    "no barrier: bf16-reuse": barrier("matmul_bf16.cuh", "bf16-reuse"),
    "no barrier: bf16-loaded": barrier("matmul_bf16.cuh", "bf16-loaded"),
    "no barrier: attend-reuse": barrier("attention.cu", "attend-reuse"),
    "no barrier: attend-loaded": barrier("attention.cu", "attend-loaded"),
    "no barrier: attend-weights": barrier("attention.cu", "attend-weights"),
    "no barrier: attend-done": barrier("attention.cu", "attend-done"),
    "no barrier: keys-reuse": barrier("attention_backward.cu", "keys-reuse"),
    "no barrier: keys-loaded": barrier("attention_backward.cu", "keys-loaded"),
    "no barrier: queries-weights": barrier("attention_backward.cu", "queries-weights"),
    "no barrier: occurrence-reuse": barrier("scatter.cu", "occurrence-reuse"),
    "no barrier: occurrence-publish": barrier("scatter.cu", "occurrence-publish"),
    "no barrier: squares-publish": barrier("optimizer.cu", "squares-publish"),
    "no barrier: squares-tree": barrier("optimizer.cu", "squares-tree"),
    "cross-entropy writes over a logit that is still read": swap(
        "loss.cu", "        __syncthreads();\n    else\n        __syncwarp();", "        ;\n    else\n        ;"),
    # Reductions and lanes.
    "warp sum starts at 8": swap("reduce.cuh", "int distance = WARP / 2;", "int distance = WARP / 4;"),
    "shuffle mask lacks half a warp": swap("reduce.cuh", "ALL_LANES = 0xffffffffu", "ALL_LANES = 0xffffu"),
    "every lane publishes": swap("reduce.cuh", "if (threadIdx.x % WARP == 0) parts", "parts"),
    "a row kernel returns by thread": swap(
        "normalization.cu", "if (place.row >= rows) return;", "if (place.row >= rows || place.first >= width) return;"),
    # Edges.
    "grid loop forgets the grid": swap("loop.cuh", "stride((size_t)gridDim.x * blockDim.x)", "stride(blockDim.x)"),
    "matmul reads past the last line": swap("matmul.cuh", "line < x.lines && k < end", "k < end"),
    "matmul reads past the end of k": swap("matmul.cuh", "line < x.lines && k < end", "line < x.lines"),
    "matmul writes past the last row": swap("matmul.cuh", "i >= p.a.lines || j >= p.b.lines", "j >= p.b.lines"),
    "tile of attention reads past its sequence": swap("attention.cuh", "first + i < count ? rows", "true ? rows"),
    "attention writes past its sequence": swap("attention.cuh", "first + r < count && d < head_dim", "d < head_dim"),
    "one more column": swap("columns.cu", "if (j >= width) return;", "if (j > width) return;"),
    # Meaning.
    "second product left out": swap("matmul_kernels.cu", "if (p.k2 > 0) tile.multiply", "if (p.k2 > 1000) tile.multiply"),
    "fragments of A swapped": swap("matmul_bf16.cuh", "rows[i][1] = from[8 * PITCH];\n                    rows[i][2] = from[4];",
                                   "rows[i][2] = from[8 * PITCH];\n                    rows[i][1] = from[4];"),
    "pairs in the wrong order": swap("matmul_bf16.cuh", "round(element(x, first + line, k, end))\n",
                                     "round(element(x, first + line, k + 1, end))\n"),
    "resumed group starts at 0": swap("matmul_kernels.cu", "resumed && inside ?", "false && inside ?"),
    "suspended group is added": swap("matmul_kernels.cu", "if (suspended)", "if (false)"),
    "column sums forget the open group": swap("groups.cuh", "groups.is_resumed(g) ? gradient.open[column] : 0", "0.f"),
    "embedding closes every row": swap("scatter.cu", "if (!groups.is_suspended(g)) close_row", "close_row"),
    "rows that no id names stay open": swap("scatter.cu", "if (!groups.is_suspended(0) && vocabulary > 0)", "if (false)"),
    "every token sums its id": swap("scatter.cu", "if (occurs(ids, id, first, own)) return;", ""),
    "window off by one": swap("attention.cuh", "position + 1 - (uint32_t)a.window", "position - (uint32_t)a.window"),
    "causal mask off by one": swap("attention.cuh", "seen.high = position + 1", "seen.high = position"),
    "running maximum forgets to shrink": swap("attention.cu", "out[c] *= shrink", "out[c] *= 1"),
    "tile of keys is skipped": swap("attention_backward.cu", "seen.low < first + TILE && seen.high > first", "seen.low < first + TILE && seen.high > first + 1"),
    "delta left out": swap("attention_backward.cu", "(slope - delta)", "(slope)"),
    "Philox round missing": swap("random.cu", "round < 10", "round < 9"),
    "dropout counts features by threads": swap("random.cu", "words[4] = {(uint32_t)quad,", "words[4] = {(uint32_t)i.at,"),
    "threshold rounds down": swap("random.cu", "(double)floor < scaled ? floor + 1 : floor", "floor"),
    "weight decay coupled": swap("optimizer.cu", "if (!decoupled) gradient", "gradient"),
    "smoothing forgets the weights": swap("loss.cu", "if (w) weight_sum =", "if (false) weight_sum ="),
    "fp16 denormals are zero": swap("math.cuh", "* 0x1p-24f", "* 0.f"),
    # Host.
    "copy without waiting": swap("staging.cu", "if (error == cudaSuccess) error = cudaStreamSynchronize(stream);", ""),
    "slot reused without waiting": swap("staging.cu", "return cudaEventSynchronize(read[slot]);", "return cudaSuccess;"),
    "upload found by its length": swap("uploads.cu", "&& memcmp(place.numbers.data(), numbers, count * sizeof *numbers) == 0", ""),
    "upload keeps old numbers": swap("uploads.cu", "place->numbers.assign(numbers, numbers + count);", "if (place->numbers.empty()) place->numbers.assign(numbers, numbers + count);"),
    "budget not given back": swap("memory.cu", "context->used -= place->second;", ""),
    "fault not cleared": swap("memory.cu", "(void)cudaMemsetAsync(context->faults, 0, sizeof fault, context->stream);", ""),
    "bad target ignored": swap("loss.cu", "if (target != c.ignore_index) atomicMax(c.faults, (uint32_t)FAULT_TARGET);", ""),
    "too little shared memory": swap("attention.cu", "TILE * (3 * a.head_dim + 1 + TILE)", "TILE * (3 * a.head_dim + 1 + TILE / 2)"),
    "cuBLASLt: transposition lost": swap("lt.cu", "p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N", "CUBLAS_OP_N"),
    "cuBLASLt: bias left out": swap("lt.cu", "if (is_made && p.bias)", "if (false)"),
    "cuBLASLt: group keeps what was open": swap("matmul_gradient.cu", "group.suspends && !group.resumes ? 0 : 1", "1"),
    "cuBLASLt: finished group stays open": swap("matmul_gradient.cu", "if (group.resumes && !group.suspends)", "if (false)"),
}

# Why a fault that no check finds is none.
HARMLESS = {
    "no barrier: attend-done": "a warp writes its own weights again only behind two barriers of the whole "
                               "block, attend-reuse and attend-loaded, which its lanes reach after their reads",
    "upload keeps old numbers": "the list was cleared before",
}


# The tests that see a file first; what they do not find is shown to all of them.
TESTS = {
    "activation.cu": "elementwise", "attention.cu": "attention", "attention.cuh": "attention",
    "attention_backward.cu": "attention", "columns.cu": "columns", "groups.cuh": "columns gradient",
    "loop.cuh": "elementwise optimizer", "loss.cu": "loss failures", "lt.cu": "matmul gradient",
    "math.cuh": "elementwise matmul", "matmul.cuh": "matmul gradient",
    "matmul_bf16.cuh": "matmul gradient", "matmul_fp32.cuh": "matmul gradient",
    "matmul_gradient.cu": "gradient", "matmul_kernels.cu": "matmul gradient", "memory.cu": "failures",
    "normalization.cu": "normalization", "optimizer.cu": "optimizer", "random.cu": "elementwise",
    "reduce.cuh": "normalization loss rows", "scatter.cu": "rows", "staging.cu": "failures rows",
    "uploads.cu": "attention",
}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def make(folder, program):
    return run("make", "-s", f"build/{program}", cwd=folder)


def first_fault(folder, program, tests, **settings):
    try:
        result = run(f"build/{program}", *tests, cwd=folder, timeout=600,
                     env={**os.environ, **settings})
    except subprocess.TimeoutExpired:
        return "timeout"
    if result.returncode == 0:
        return ""
    found = re.search(r"cusim: [^\n]*|[^\n]*runtime error: [^\n]*|SUMMARY: [^\n]*|FAIL [^\n]*",
                      result.stdout + result.stderr)
    return found[0] if found else f"exit {result.returncode}"


# Name, program, settings, and whether all tests run or those of the file.
PLAIN = [(f"order {n}", "parts_sim", {"CUSIM_ORDER": str(n)}, False) for n in range(4)]
PLAIN += [("all tests", "parts_sim", {"CUSIM_ORDER": "0"}, True)]
SANITIZED = [("asan", "parts_asan", {"CUSIM_ORDER": "1"}, False),
             ("tsan", "parts_tsan", {"CUSIM_RACE": "0"}, False),
             ("tsan by block", "parts_tsan", {"CUSIM_RACE": "1"}, False)]
CHECKS = PLAIN + (SANITIZED if os.environ.get("SANITIZERS", "1") != "0" else [])


class Planted:
    """A file with a fault in it; on leaving it and every object of it are as they were."""

    def __init__(self, folder, file, text):
        self.path, self.text = os.path.join(folder, "src", file), text
        self.saved = [self.path]
        for note in glob.glob(os.path.join(folder, "build/parts/*/*.d")):
            if f"src/{file}" in re.split(r"[\s:]+", open(note).read()):
                self.saved += [note, note[:-1] + "o"]

    def __enter__(self):
        for path in self.saved:
            shutil.copy2(path, path + ".whole")
        open(self.path, "w").write(self.text)

    def __exit__(self, *_):
        for path in self.saved:
            os.replace(path + ".whole", path)


def judge(folder, tests):
    """The check that finds a planted fault and what it says; None when none does."""
    built = set()
    for check, program, settings, takes_all in CHECKS:
        if program not in built:
            made = make(folder, program)
            if made.returncode:
                return None, "DOES NOT COMPILE: " + (made.stderr.splitlines() or [""])[-1]
            built.add(program)
        fault = first_fault(folder, program, [] if takes_all else tests, **settings)
        if fault:
            return check, fault
    return None, ""


def main():
    root, wanted = os.getcwd(), sys.argv[1:]
    unexplained, found, explained, planted = [], 0, 0, 0
    programs = sorted({program for _, program, _, _ in CHECKS})
    subprocess.run(["make", "-s", *(f"build/{program}" for program in programs)], check=True)
    with tempfile.TemporaryDirectory() as place:
        # Beside csrc's other folders, which the sources name by relative paths.
        folder = os.path.join(place, "cuda")
        shutil.copytree(root, folder, symlinks=True)
        for name in os.listdir(os.path.dirname(root)):
            if name != "cuda":
                os.symlink(os.path.join(os.path.dirname(root), name), os.path.join(place, name))
        for name, (file, change) in MUTANTS.items():
            if wanted and not any(part in name for part in wanted):
                continue
            planted += 1
            text = open(os.path.join(folder, "src", file)).read()
            changed = change(text)
            if changed == text:
                finder, fault = None, "NOT APPLIED"
            else:
                with Planted(folder, file, changed):
                    finder, fault = judge(folder, TESTS[file].split())
            if finder:
                found += 1
            elif not fault and name in HARMLESS:
                explained += 1
                fault = HARMLESS[name]
            else:
                unexplained.append(name)
                fault = fault or "SURVIVES"
            print(f"{name:52} {finder or '-':14} {fault[:110]}", flush=True)
    for name in unexplained:
        print("unexplained:", name)
    print(f"{planted} planted: {found} found, {explained} explained, {len(unexplained)} unexplained")
    return bool(unexplained)


sys.exit(main())
