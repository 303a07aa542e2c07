# SPDX-License-Identifier: Apache-2.0
"""Cairn and the reference library of safetensors: bytes, values and verdicts side by side."""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import safetensors
import torch
from safetensors.torch import load_file, save_file

from verdicts import ROWS, STRICTER

CAIRN = sys.argv[1]
passed, failed = 0, []


def check(name, condition, note=""):
    global passed
    if condition:
        passed += 1
    else:
        failed.append(name)
        print(f"FAILED {name} {note}")


def cairn(*arguments):
    return subprocess.run([CAIRN, *map(str, arguments)], capture_output=True, text=True)


def inspect(path):
    result = cairn("inspect", path, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def raw(tensor):
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "U16": torch.uint16, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32,
    "U32": torch.uint32, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64,
    "U64": torch.uint64, "C64": torch.complex64, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}


def random_tensor(dtype, shape, seed):
    width = torch.empty(0, dtype=dtype).element_size()
    count = int(numpy.prod(shape, dtype=numpy.int64))
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    content = numpy.random.default_rng(seed).bytes(count * width)
    if dtype == torch.bool:
        content = bytes(byte & 1 for byte in content)
    flat = torch.tensor(numpy.frombuffer(content, dtype=numpy.uint8).copy())
    return flat.view(dtype).reshape(shape)


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and raw(a[n]) == raw(b[n]) for n in a)


def values(work):
    """All types, alone and together: theirs read by us, ours read by them, equal bytes."""
    shapes = [[], [0, 4], [8], [3, 2, 1], [16, 5]]
    everything = {f"{name}.{index}": random_tensor(dtype, shape, index)
                  for name, dtype in DTYPES.items() for index, shape in enumerate(shapes)}
    cases = [(name, {"x": random_tensor(dtype, [2, 8], 7)}) for name, dtype in DTYPES.items()]
    cases.append(("all types", everything))
    for name, tensors in cases:
        theirs, ours = work / "theirs.safetensors", work / "ours.safetensors"
        save_file(tensors, theirs, metadata={"format": "pt"})
        document = inspect(theirs)
        listed = {t["name"]: (t["shape"], t["sha256"]) for t in document["tensors"]}
        check(f"{name}: we read theirs", listed == {
            n: (list(t.shape), hashlib.sha256(raw(t)).hexdigest()) for n, t in tensors.items()})
        if len(tensors) == 1:
            check(f"{name}: the type", document["tensors"][0]["dtype"] == name)
        result = cairn("convert", theirs, ours, "--force")
        check(f"{name}: written", result.returncode == 0, result.stderr)
        check(f"{name}: the same bytes", ours.read_bytes() == theirs.read_bytes())
        check(f"{name}: they read ours", same(load_file(ours), tensors))
    figures = torch.tensor([1, float("nan"), -3, float("inf"), float("-inf"), 4])
    save_file({"x": figures}, work / "figures.safetensors")
    row = inspect(work / "figures.safetensors")["tensors"][0]
    finite = figures[figures.isfinite()].double()
    check("figures", (row["min"], row["max"], row["mean"], row["nan"], row["inf"])
          == (finite.min(), finite.max(), finite.mean(), 1, 2))


def metadata(work):
    """Strings both ways, and a file without any."""
    path, again = work / "m.safetensors", work / "n.safetensors"
    given = {"format": "pt", "é\"": "模\n", "empty": "", "epoch": "3"}
    save_file({"x": torch.ones(2)}, path, metadata=given)
    check("metadata read", inspect(path)["metadata"] == given)
    cairn("convert", path, again)
    with safetensors.safe_open(again, "pt") as file:
        check("metadata written", file.metadata() == given)
    save_file({"x": torch.ones(2)}, path)
    cairn("convert", path, again, "--force")
    with safetensors.safe_open(again, "pt") as file:
        check("metadata of a file without any", file.metadata() == {"format": "pt"})


def through(work):
    """Torch reads what comes back from each other format."""
    types = ["F32", "F16", "BF16", "F64", "I32", "I64", "I8", "U8"]
    tensors = {f"layer.{index}": random_tensor(DTYPES[name], [4, 3], index)
               for index, name in enumerate(types)}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = torch.nan_to_num(tensor)  # Marshal has a single NaN
    source = work / "in.safetensors"
    save_file(tensors, source)
    for format in ["npz", "bin", "apr"]:
        middle, back = work / f"x.{format}", work / f"{format}.safetensors"
        results = [cairn("convert", source, middle), cairn("convert", middle, back)]
        check(f"through {format}", all(r.returncode == 0 for r in results)
              and same(load_file(back), tensors), [r.stderr for r in results])


def shards(work):
    """A directory with an index, as transformers writes it."""
    tensors = {f"model.layers.{i}.weight": torch.randn(4, 4) for i in range(6)}
    directory = work / "sharded"
    directory.mkdir()
    weight_map = {}
    for part in range(3):
        name = f"model-{part + 1:05}-of-00003.safetensors"
        mine = {n: t for i, (n, t) in enumerate(tensors.items()) if i % 3 == part}
        save_file(mine, directory / name, metadata={"format": "pt"})
        weight_map |= {n: name for n in mine}
    (directory / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": 384}, "weight_map": weight_map}))
    (directory / "config.json").write_text('{"model_type": "qwen2"}')
    document = inspect(directory)
    check("shards: kind and names", document["kind"] == "base_model"
          and [t["name"] for t in document["tensors"]] == sorted(tensors))
    check("shards: missing", document["missing"] == ["tokenizer.json"])
    result = cairn("convert", directory, work / "one.safetensors")
    check("shards: into one", result.returncode == 0
          and same(load_file(work / "one.safetensors"), tensors), result.stderr)
    (directory / "model-00002-of-00003.safetensors").unlink()
    check("shards: one missing", inspect(directory)["missing"]
          == ["model-00002-of-00003.safetensors", "tokenizer.json"])


def library_accepts(path):
    try:
        with safetensors.safe_open(path, "np") as file:
            file.keys()
        return True
    except safetensors.SafetensorError:
        return False


def verdicts(work):
    path = work / "row.safetensors"
    for name, content in ROWS.items():
        path.write_bytes(content)
        theirs = library_accepts(path)
        result = cairn("inspect", path)
        check(f"verdict, orderly: {name}", result.returncode in (0, 1)
              and (result.returncode == 0) == bool(result.stdout), result.stderr)
        ours = result.returncode == 0
        if name in STRICTER:
            check(f"verdict, stricter: {name}", theirs and not ours, f"we {ours}, they {theirs}")
            print(f"stricter by choice: {name}: {STRICTER[name]}")
        else:
            check(f"verdict: {name}", ours == theirs,
                  f"we {ours}, they {theirs}: {result.stderr}")


def main():
    version = subprocess.run([CAIRN, "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{version}, safetensors {safetensors.__version__}, torch {torch.__version__}, "
          f"numpy {numpy.__version__}, Python {sys.version.split()[0]}")
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for part in [values, metadata, through, shards, verdicts]:
            part(work)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
