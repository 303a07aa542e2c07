# SPDX-License-Identifier: Apache-2.0
"""Drives `cairn convert` and `cairn inspect` against the reader and writer of apr_format.py."""
import hashlib
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import zlib

import apr_format

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


def listed(document):
    return {t["name"]: (t["dtype"], t["shape"], t["bytes"], t["sha256"])
            for t in document["tensors"]}


def expected(tensors):
    return {name: (dtype, list(shape), len(data), hashlib.sha256(data).hexdigest())
            for name, (dtype, shape, data) in tensors.items()}


EXAMPLE_TEXT = (
    '{"model_type":"linear_regression","name":"golden-v2","license":null,"data_source":null,'
    '"data_license":null,"version":"0.0.0-golden","created_at":"1700000000","total_size":0,'
    '"param_count":8}')
EXAMPLE_TENSORS = {
    "bias": ("F32", [1], struct.pack("<f", 0.125)),
    "weights": ("F32", [8], struct.pack("<8f", 1, 2, .5, -.5, 4, -2, .25, 8)),
}


def example(work):
    """The example of 516 bytes: written here, read there, written there."""
    file = apr_format.write(EXAMPLE_TENSORS, EXAMPLE_TEXT)
    check("example: 516 bytes", len(file) == 516)
    check("example: header checksum", file[40:44].hex() == "028cc03b")
    check("example: footer", file[-4:].hex() == "353f0f55")
    path = work / "example.apr"
    path.write_bytes(file)
    document = inspect(path)
    check("example: tensors", listed(document) == expected(EXAMPLE_TENSORS))
    bias = document["tensors"][0]
    check("example: figures", (bias["min"], bias["max"], bias["mean"], bias["nan"], bias["inf"])
          == (0.125, 0.125, 0.125, 0, 0))
    check("example: metadata", document["metadata"] == {
        key: value for key, value in json.loads(EXAMPLE_TEXT).items() if value is not None})
    check("example: converted", cairn("convert", path, work / "again.apr").returncode == 0)
    check("example: same bytes", (work / "again.apr").read_bytes() == file)
    return file


def random_tensors(generator):
    tensors = {}
    for _ in range(generator.randint(0, 12)):
        name = generator.choice(["w", "layer.0.weight", "é", "模型", "a/b", "x" * 256, "\"\\"])
        name = name if len(name) == 256 else name + str(generator.randint(0, 99))
        dtype = generator.choice(list(apr_format.WIDTHS))
        shape = [generator.choice([0, 1, 2, 3, 7, 16]) for _ in range(generator.randint(0, 8))]
        shape = shape if len(shape) < 5 else [min(size, 2) for size in shape]
        count = 1
        for size in shape:
            count *= size
        tensors[name] = (dtype, shape, generator.randbytes(count * apr_format.WIDTHS[dtype]))
    return tensors


ALIASES = {
    "hidden_size": ["hidden_dim", "d_model", "n_embd"], "num_layers": ["n_layer", "n_layers"],
    "vocab_size": ["n_vocab"], "rms_norm_eps": ["norm_eps"], "num_kv_heads": ["n_kv_heads"],
}


def random_metadata(generator):
    """(as written, as it must be read): with nulls, aliases, custom keys, any order."""
    written = {key: None for key in apr_format.KNOWN if generator.random() < 0.3}
    meaning = {}
    for key in apr_format.KNOWN:
        if key in ("quantization", "sharding", "special_tokens") or generator.random() < 0.6:
            continue
        texts = {"model_type", "name", "description", "author", "license", "data_source",
                 "data_license", "version", "source", "original_format", "created_at",
                 "chat_template", "chat_format", "architecture", "hf_architecture",
                 "hf_model_type"}
        value = (generator.choice(["qwen2", "é\n\"", "x"]) if key in texts
                 else generator.choice([0.5, 1e-6, 10000.0]) if key in ("rope_theta", "rms_norm_eps")
                 else generator.randint(0, 1 << 40))
        written.pop(key, None)
        written[generator.choice([key] + ALIASES.get(key, []))] = value
        meaning[key] = value
    if generator.random() < 0.5:
        written["special_tokens"] = meaning["special_tokens"] = {"pad_token": "<p>", "bos_token": "<s>"}
    for index in range(generator.randint(0, 6)):
        key = generator.choice(["epoch", "val_loss", "tokenizer.merges", "é", "provenance"]) + str(index)
        meaning[key] = written[key] = generator.choice(
            [None, True, 3, -0.25, "text", [1, [2, None]], {"z": 1, "a": {"y": 2, "b": []}}])
    items = list(written.items())
    generator.shuffle(items)
    return dict(items), meaning


def sorted_everywhere(value):
    if isinstance(value, dict):
        return {key: sorted_everywhere(value[key]) for key in sorted(value)}
    return [sorted_everywhere(v) for v in value] if isinstance(value, list) else value


def plain(value):
    """Ordered pairs as dictionaries."""
    if isinstance(value, list) and value and all(isinstance(v, tuple) for v in value):
        return {key: plain(inner) for key, inner in value}
    return [plain(v) for v in value] if isinstance(value, list) else value


def random_files(work, count):
    """Written here in every spelling, read there; written there, read here, and stable."""
    for number in range(count):
        generator = random.Random(number)
        tensors = random_tensors(generator)
        written, meaning = random_metadata(generator)
        order = list(tensors)
        generator.shuffle(order)
        path, again, third = work / "in.apr", work / "out.apr", work / "third.apr"
        text = json.dumps(written, separators=(",", ":"), ensure_ascii=generator.random() < 0.5)
        path.write_bytes(apr_format.write(tensors, text, order))
        document = inspect(path)
        check(f"random {number}: tensors", listed(document) == expected(tensors))
        # Counts that say what the tensors say are left out, as is an empty model type.
        stated = dict(document["metadata"])
        check(f"random {number}: metadata", stated == meaning, f"{stated} {meaning}")
        result = cairn("convert", path, again, "--force")
        check(f"random {number}: converted", result.returncode == 0, result.stderr)
        pairs, read = apr_format.read(again.read_bytes())
        check(f"random {number}: written tensors",
              {n: (d, s, bytes(b)) for n, (d, s, b) in read.items()}
              == {n: (d, list(s), b) for n, (d, s, b) in tensors.items()})
        keys = [key for key, _ in pairs]
        check(f"random {number}: key order", keys == apr_format.emission_order(keys))
        values = {key: plain(value) for key, value in pairs}
        spelled = {"license": None, "data_source": None, "data_license": None, "model_type": "",
                   "total_size": sum(len(t[2]) for t in tensors.values()),
                   "param_count": sum(len(t[2]) // apr_format.WIDTHS[t[0]] for t in tensors.values())}
        check(f"random {number}: written metadata", values == {**spelled, **meaning})
        nested = {key: value for key, value in values.items() if key not in apr_format.KNOWN}
        check(f"random {number}: nested order",
              json.dumps(nested) == json.dumps(sorted_everywhere(nested)))
        cairn("convert", again, third, "--force")
        check(f"random {number}: same bytes again", third.read_bytes() == again.read_bytes())


def safetensors(work):
    """From safetensors and back through APR: the same tensors and metadata."""
    data = struct.pack("<4f", 1, 2, 3, 4)
    text = json.dumps({
        "__metadata__": {"format": "pt", "epoch": "3"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "I8", "shape": [3], "data_offsets": [16, 19]}}).encode()
    source, middle, back = work / "s.safetensors", work / "s.apr", work / "t.safetensors"
    source.write_bytes(struct.pack("<Q", len(text)) + text + data + b"\1\2\3")
    check("safetensors to apr", cairn("convert", source, middle).returncode == 0)
    pairs, tensors = apr_format.read(middle.read_bytes())
    check("safetensors to apr: tensors", tensors == {
        "a": ("F32", [2, 2], data), "b": ("I8", [3], b"\1\2\3")})
    check("safetensors to apr: metadata", dict(pairs)["epoch"] == "3")
    check("apr to safetensors", cairn("convert", middle, back).returncode == 0)
    first, second = inspect(source), inspect(back)
    check("apr to safetensors: the same", first == second, f"{first} {second}")


def damaged(work, file):
    """Every byte changed, every length, and faults behind fitting checksums: all are seen."""
    path = work / "damaged.apr"
    unseen = []

    def refused(name, content):
        path.write_bytes(content)
        result = cairn("inspect", path)
        if result.returncode != 1 or result.stderr.count("\n") != 1 or result.stdout:
            unseen.append((name, result.returncode, result.stderr))

    for place in range(len(file)):
        refused(f"byte {place}", file[:place] + bytes([file[place] ^ 0xFF]) + file[place + 1:])
    check(f"{len(file)} changed bytes are seen", not unseen, unseen[:3])
    unseen.clear()
    for length in range(0, len(file), 5):
        refused(f"length {length}", file[:length])
    check("cut files are seen", not unseen, unseen[:3])
    unseen.clear()

    def fitting(changes):
        content = bytearray(file)
        for place, byte in changes.items():
            content[place] = byte
        front, rest = bytes(content[:40]), bytes(content[44:64])
        content[40:44] = struct.pack("<I", zlib.crc32(rest, zlib.crc32(front)))
        content[-4:] = struct.pack("<I", zlib.crc32(bytes(content[:-4])))
        return bytes(content)

    faults = {
        "major version": {4: 3}, "minor version": {5: 1}, "LZ4": {6: 1}, "ZSTD": {6: 2},
        "encrypted": {6: 4}, "signed": {6: 8}, "column-major": {7: 8}, "no layout": {7: 0},
        "metadata offset": {12: 0x80}, "index offset": {24: 0x40}, "data offset": {32: 0xC0},
        "reserved": {63: 1}, "tensor count": {8: 1}, "dtype 2": {0x106: 2}, "rank": {0x107: 9},
        "shape": {0x108: 2}, "overlap": {0x133: 0}, "misaligned": {0x133: 65}, "hole": {0x133: 128},
        "unsorted": {0x102: 0x7A}, "metadata padding": {0xFE: 1}, "index padding": {0x17F: 1},
        "data padding": {0x1BF: 1},
    }
    for name, changes in faults.items():
        refused(name, fitting(changes))
    refused("trailing bytes", fitting({})[:-4] + bytes(64) + file[-4:])
    check(f"{len(faults)} faults behind fitting checksums are seen", not unseen, unseen[:3])
    path.write_bytes(fitting({}))
    check("the file without a fault passes", cairn("inspect", path).returncode == 0)


def main():
    version = subprocess.run([CAIRN, "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{version}, Python {sys.version.split()[0]}, zlib {zlib.ZLIB_VERSION}")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        file = example(work)
        random_files(work, 60)
        safetensors(work)
        damaged(work, file)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
