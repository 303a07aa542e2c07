# SPDX-License-Identifier: Apache-2.0
"""APR v2 in plain Python: a strict reader and a writer, from the format's description."""
import json
import struct
import zlib

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I32": 4, "I64": 8, "I8": 1, "U8": 1}
CODES = {"F32": 0, "F16": 1, "F64": 3, "I32": 4, "I64": 5, "I8": 6, "U8": 7, "BF16": 30}
NAMES = {code: name for name, code in CODES.items()}
KNOWN = """model_type name description author license data_source data_license version source
original_format created_at total_size param_count quantization sharding chat_template chat_format
special_tokens architecture hf_architecture hf_model_type hidden_size num_layers num_heads
num_kv_heads vocab_size intermediate_size max_position_embeddings rope_theta rope_type rms_norm_eps
head_dim num_experts num_experts_per_tok moe_intermediate_size""".split()


def padded(data):
    return data + bytes(-len(data) % 64)


def header(flags, count, metadata_size, index_at, data_at):
    front = b"APR\0" + bytes([2, 0]) + struct.pack(
        "<HIQIQQ", flags, count, 64, metadata_size, index_at, data_at)
    assert len(front) == 40
    return front + struct.pack("<I", zlib.crc32(bytes(20), zlib.crc32(front))) + bytes(20)


def write(tensors, metadata_text, order=None, flags=0x0400):
    """tensors: {name: (dtype, shape, bytes)}; order: names in the order of their data."""
    names = sorted(tensors, key=lambda name: name.encode())
    offsets, data = {}, b""
    for name in order or names:
        offsets[name] = len(data)
        data += padded(tensors[name][2])
    index = b""
    for name in names:
        dtype, shape, content = tensors[name]
        text = name.encode()
        index += struct.pack("<H", len(text)) + text + bytes([CODES[dtype], len(shape)])
        index += struct.pack(f"<{len(shape)}Q", *shape)
        index += struct.pack("<QQ", offsets[name], len(content))
    text = metadata_text.encode()
    index_at = 64 + len(padded(text))
    data_at = index_at + len(padded(index))
    body = header(flags, len(names), len(text), index_at, data_at)
    body += padded(text) + padded(index) + data
    return body + struct.pack("<I", zlib.crc32(body))


def read(file):
    """Everything in a file, every rule asserted: (metadata as ordered pairs, tensors)."""
    assert file[:4] == b"APR\0" and file[4:6] == b"\2\0"
    flags, count, metadata_at, metadata_size, index_at, data_at = struct.unpack(
        "<HIQIQQ", file[6:40])
    assert flags == 0x0400 and metadata_at == 64
    assert struct.unpack("<I", file[40:44])[0] == zlib.crc32(file[44:64], zlib.crc32(file[:40]))
    assert file[44:64] == bytes(20)
    assert struct.unpack("<I", file[-4:])[0] == zlib.crc32(file[:-4])
    text = file[64:64 + metadata_size]
    assert file[64:index_at] == padded(text)
    pairs = json.loads(text.decode(), object_pairs_hook=lambda pairs: pairs)
    assert json.dumps(json.loads(text)) and b"\n" not in text
    tensors, place, names = {}, index_at, []
    ranges = []
    for _ in range(count):
        length, = struct.unpack_from("<H", file, place)
        name = file[place + 2:place + 2 + length].decode()
        place += 2 + length
        dtype, rank = NAMES[file[place]], file[place + 1]
        shape = struct.unpack_from(f"<{rank}Q", file, place + 2)
        offset, size = struct.unpack_from("<QQ", file, place + 2 + 8 * rank)
        place += 18 + 8 * rank
        elements = 1
        for dimension in shape:
            elements *= dimension
        assert size == elements * WIDTHS[dtype] and offset % 64 == 0
        ranges.append((offset, size))
        tensors[name] = (dtype, list(shape), file[data_at + offset:data_at + offset + size])
        names.append(name.encode())
    assert names == sorted(set(names))
    assert file[place:data_at] == bytes(data_at - place) and data_at % 64 == 0
    assert data_at - place < 64
    end = 0
    for offset, size in sorted(ranges):
        assert offset == end
        end += len(padded(bytes(size)))
        pad = file[data_at + offset + size:data_at + end]
        assert pad == bytes(len(pad))
    assert data_at + end + 4 == len(file)
    return pairs, tensors


def emission_order(keys):
    """The order in which a writer puts metadata keys: known ones, then custom ones sorted."""
    custom = sorted((key for key in keys if key not in KNOWN), key=lambda key: key.encode())
    return [key for key in KNOWN if key in keys] + custom
