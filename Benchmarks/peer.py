# SPDX-License-Identifier: Apache-2.0
"""The peers of the kernel benchmark: torch and numpy on the same products, on request.

usage: peer.py THREADS   (started by cairn-bench kernels --peer PYTHON)

Reads a JSON object per line and answers with one: "prepare" makes the operands of a row, tries
torch and, for fp32, numpy, and keeps the faster; "sample" times one run of it.
"""
import json
import os
import sys
import time

threads = sys.argv[1]
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = threads

import numpy as np  # noqa: E402 (the thread counts must be set before)
import torch  # noqa: E402

SHORTEST_SECONDS = 2e-3
TRIES = 5
SCALING = 2.0
# Seconds that a library's threads go on spinning after a product, with a margin: libgomp's do for 9
# ms, OpenBLAS's for 105. Whoever came next would have a processor less.
REST = {"torch": 0.02, "numpy": 0.15}


def torch_run(operation, tokens, inputs, outputs, rank, dtype):
    linear = torch.nn.functional.linear
    x, dy = torch.randn(tokens, inputs).to(dtype), torch.randn(tokens, outputs).to(dtype)
    w, bias = torch.randn(outputs, inputs).to(dtype), torch.randn(outputs).to(dtype)
    a, b = torch.randn(rank, inputs).to(dtype), torch.randn(outputs, rank).to(dtype)
    return {
        "forward": lambda: linear(x, w, bias),
        "dx": lambda: dy @ w,
        "dW": lambda: dy.T @ x,
        "lora": lambda: linear(x, w) + SCALING * linear(linear(x, a), b),
    }[operation]


def numpy_run(operation, tokens, inputs, outputs, rank):
    def random(*shape):
        return np.random.randn(*shape).astype(np.float32)

    x, dy, w = random(tokens, inputs), random(tokens, outputs), random(outputs, inputs)
    bias, a, b = random(outputs), random(rank, inputs), random(outputs, rank)
    return {
        "forward": lambda: x @ w.T + bias,
        "dx": lambda: dy @ w,
        "dW": lambda: dy.T @ x,
        "lora": lambda: x @ w.T + SCALING * ((x @ a.T) @ b.T),
    }[operation]


def seconds(run, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def prepared(request):
    shape = [request[key] for key in ("tokens", "in", "out", "rank")]
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[request["type"]]
    runs = {"torch": torch_run(request["operation"], *shape, dtype)}
    if request["type"] == "fp32":
        runs["numpy"] = numpy_run(request["operation"], *shape)
    times = {}
    for name, run in runs.items():
        run()
        times[name] = min(seconds(run, 1) for _ in range(TRIES))
    best = min(times, key=times.get)
    return best, runs[best], max(1, round(SHORTEST_SECONDS / times[best]))


def main():
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    version = f"torch {torch.__version__}, numpy {np.__version__}"
    print(json.dumps({"version": version}), flush=True)
    name, run, repeats = "", None, 1
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            name, run, repeats = prepared(request)
            answer = {"peer": name}
            time.sleep(max(REST.values()))
        else:
            run()
            answer = {"seconds": seconds(run, repeats)}
            time.sleep(REST[name])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
