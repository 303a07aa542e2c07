# SPDX-License-Identifier: Apache-2.0
"""Writes what `cairn quickstart` trains on: WordNet glosses, a tokenizer, a base with random weights.

usage: make_quickstart.py GLOSSES.tsv.gz LICENCE.txt OUTPUT

GLOSSES has the columns id (`noun:` and the synset's offset in WordNet 3.0), split, label (the
lexicographer file) and text (the gloss without its examples); the split is the SHA-256 of the
text modulo 5: 0 test, 1 dev, the rest train. LICENCE is the copyright file of Debian's
wordnet-base.
The same inputs give the same bytes: rows are picked by the hash of their id, weights are a
function of the seed, and the tokenizer is trained with a fixed version of `tokenizers`.
"""
import gzip
import hashlib
import json
import math
import struct
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CLASSES = ["animal", "artifact", "body", "food", "person", "plant"]
ROWS = {"train": 1000, "validation": 100, "test": 100}
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
WORDS = range(4, 41)

SEED = 42
HIDDEN, LAYERS, HEADS, KEY_HEADS, FFN, POSITIONS = 64, 2, 4, 2, 192, 256
VOCABULARY = 4000
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def pick(path):
    """The first rows of each split and class, in the order of the hash of their id."""
    found = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            key, split, label, text = line.rstrip("\n").split("\t")
            name = label.removeprefix("noun.")
            if label.startswith("noun.") and name in CLASSES and len(text.split()) in WORDS:
                order = hashlib.sha256(key.encode()).hexdigest()
                found.setdefault((SPLITS[split], name), []).append((order, name, text))
    rows = []
    for split, count in ROWS.items():
        part = [row for name in CLASSES for row in sorted(found[split, name])[:count]]
        rows += [(split, name, text) for _, name, text in sorted(part)]
    texts = [text for _, _, text in rows]
    assert len(rows) == len(CLASSES) * sum(ROWS.values()), len(rows)
    assert len(set(texts)) == len(texts), "a text stands twice"
    return rows


def train_tokenizer(texts):
    """Byte-level BPE with the split expression and the special tokens of Qwen2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    return tokenizer


def configuration():
    """config.json in the spelling of transformers 4 and of transformers 5."""
    end = VOCABULARY - len(SPECIAL)
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": end,
        "dtype": "bfloat16",
        "eos_token_id": end,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": FFN,
        "max_position_embeddings": POSITIONS,
        "max_window_layers": LAYERS,
        "model_type": "qwen2",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KEY_HEADS,
        "pad_token_id": end,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "rope_theta": 10000.0,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": VOCABULARY,
    }


def shapes():
    """Names and shapes of a Qwen2 model whose head is its embedding table."""
    head = HIDDEN // HEADS
    result = {"model.embed_tokens.weight": [VOCABULARY, HIDDEN], "model.norm.weight": [HIDDEN]}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, outputs in (("q", HEADS), ("k", KEY_HEADS), ("v", KEY_HEADS)):
            result[f"{prefix}self_attn.{name}_proj.weight"] = [outputs * head, HIDDEN]
            result[f"{prefix}self_attn.{name}_proj.bias"] = [outputs * head]
        result[f"{prefix}self_attn.o_proj.weight"] = [HIDDEN, HIDDEN]
        result[f"{prefix}mlp.gate_proj.weight"] = [FFN, HIDDEN]
        result[f"{prefix}mlp.up_proj.weight"] = [FFN, HIDDEN]
        result[f"{prefix}mlp.down_proj.weight"] = [HIDDEN, FFN]
        result[f"{prefix}input_layernorm.weight"] = [HIDDEN]
        result[f"{prefix}post_attention_layernorm.weight"] = [HIDDEN]
    return dict(sorted(result.items()))


def deviation(name, shape):
    """sqrt(1 / inputs), so that every layer keeps the size of what it reads; 0.02 for the table."""
    return 0.02 if "embed" in name else math.sqrt(1 / shape[-1])


def normals(name, count):
    """Normal numbers by Box and Muller from SHA-256 over (seed, name, counter)."""
    numbers = []
    counter = 0
    while len(numbers) < count:
        block = hashlib.sha256(f"{SEED}/{name}/{counter}".encode()).digest()
        for first, second in struct.iter_unpack("<II", block):
            radius = math.sqrt(-2 * math.log((first + 1) / 2**32))
            angle = 2 * math.pi * second / 2**32
            numbers += [radius * math.cos(angle), radius * math.sin(angle)]
        counter += 1
    return numbers[:count]


def bfloat16(number):
    """The two bytes of the nearest bf16 number, ties to even."""
    bits = struct.unpack("<I", struct.pack("<f", number))[0]
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def tensor(name, shape):
    count = math.prod(shape)
    if name.endswith("norm.weight"):
        return bfloat16(1.0) * count
    if name.endswith(".bias"):
        return bfloat16(0.0) * count
    scale = deviation(name, shape)
    return b"".join(bfloat16(scale * number) for number in normals(name, count))


def safetensors():
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in shapes().items():
        start = len(data)
        data += tensor(name, shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def licence_text(control):
    """Copyright and licence of the database, without the markup and the packager's own stanza."""
    lines = control.split("\nFiles: debian/")[0].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Copyright:"))
    plain = ["" if line == " ." else line.removeprefix(" ") for line in lines[start:]]
    return "\n".join(line for line in plain if not line.startswith("License:")).strip() + "\n"


def notice(control, rows):
    """What was taken, and the licence as it accompanies the database."""
    classes = ", ".join(f"noun.{name}" for name in CLASSES)
    return (
        "glosses.tsv holds definitions (glosses) from WordNet 3.0, Princeton University.\n"
        f"Taken: {len(rows)} glosses of noun synsets from the lexicographer files {classes}.\n"
        "Each row has a split, the name of the lexicographer file without 'noun.', and the gloss\n"
        "without its examples; Tests/Interop/quickstart/make_quickstart.py picked the rows.\n"
        "base/tokenizer.json is byte-level BPE trained on the training rows of glosses.tsv.\n"
        "The weights in base/ are random numbers.\n\n"
        "WordNet's copyright and licence, which glosses.tsv stays under:\n\n" + licence_text(control)
    )


def written(value):
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def main(glosses, licence, output):
    base = output / "base"
    base.mkdir(parents=True, exist_ok=True)
    rows = pick(glosses)
    lines = ["split\tlabel\ttext"] + ["\t".join(row) for row in rows]
    (output / "glosses.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (output / "NOTICE").write_text(
        notice(licence.read_text(encoding="utf-8"), rows), encoding="utf-8"
    )
    tokenizer = train_tokenizer([text for split, _, text in rows if split == "train"])
    tokenizer.save(str(base / "tokenizer.json"), pretty=False)
    settings = {
        "eos_token": SPECIAL[0],
        "model_max_length": POSITIONS,
        "pad_token": SPECIAL[0],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (base / "tokenizer_config.json").write_text(written(settings), encoding="utf-8")
    (base / "config.json").write_text(written(configuration()), encoding="utf-8")
    (base / "model.safetensors").write_bytes(safetensors())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
