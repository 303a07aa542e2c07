# SPDX-License-Identifier: Apache-2.0
"""The peers of the files benchmark: safetensors and numpy on files of the same size, on request.

usage: peer_files.py THREADS   (started by cairn-bench files --peer PYTHON)

Reads a JSON object per line and answers with one: "prepare" makes the tensors or the file of a row
and names the peer; "sample" times one write or read of it. A write that is timed follows one that
is not, so that it finds memory at hand; what was written is removed.
"""
import json
import os
import sys
import time

import numpy as np
import safetensors
import safetensors.numpy


def prepared(request):
    count = request["bytes"] // 4
    tensors = {
        f"layers.{index}.weight": np.random.randn(count).astype(np.float32)
        for index in range(request["tensors"])
    }
    work = request["work"]
    kind = work.split()[0]
    path = os.path.join(request["folder"], f"peer.{kind}")
    if os.path.exists(path):
        os.remove(path)
    if kind == "safetensors":
        name = f"safetensors {safetensors.__version__}"

        def write():
            safetensors.numpy.save_file(tensors, path)

        def read():
            return safetensors.numpy.load_file(path)

    else:
        name = f"numpy {np.__version__}"

        def write():
            with open(path, "wb") as file:
                np.savez(file, **tensors)

        def read():
            with np.load(path) as file:
                return {key: file[key] for key in file.files}

    def prepare():
        write()
        os.remove(path)

    if work.endswith("write"):
        return name, prepare, write, lambda: os.remove(path)
    write()
    read()
    return name, lambda: None, read, lambda: None


def main():
    version = f"safetensors {safetensors.__version__}, numpy {np.__version__}"
    print(json.dumps({"version": version}), flush=True)
    ready = run = clear = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            name, ready, run, clear = prepared(request)
            answer = {"peer": name}
        else:
            ready()
            start = time.perf_counter()
            run()
            answer = {"seconds": time.perf_counter() - start}
            clear()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
