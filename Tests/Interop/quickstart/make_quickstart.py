# SPDX-License-Identifier: Apache-2.0
"""Writes what `cairn quickstart` trains on, from WordNet's own files, around a base that Cairn trains.

usage: make_quickstart.py texts DICT LICENCE OUTPUT WORK     rows, notice, tokenizer, and in WORK
                                                             what the base is trained from
       make_quickstart.py weights RUN OUTPUT                 the run's weights, rounded to bf16

DICT holds data.noun, data.verb, data.adj and data.adv of WordNet 3.0; LICENCE is the copyright
file of Debian's wordnet-base.

A fifth of the glosses is held out: those whose SHA-256 is divisible by 5. The rows that
`quickstart` validates and tests on are of this fifth, the base and its tokenizer are trained on
the rest, and no text is on both sides. The same inputs give the same bytes: rows are picked by the
hash of their place in WordNet, and the tokenizer is trained with a fixed version of `tokenizers`.
"""
import hashlib
import json
import re
import struct
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CLASSES = ["animal", "artifact", "body", "food", "person", "plant"]
FILES = {5: "animal", 6: "artifact", 8: "body", 13: "food", 18: "person", 20: "plant"}
ROWS = {"train": 50, "validation": 50, "test": 150}
TRIED = 200  # held-out rows of each class that the settings were chosen on: no test rows any more
WORDS = range(4, 41)
MEASURED = 1000  # held-out glosses on which the base's own loss is measured

HIDDEN, LAYERS, HEADS, KEY_HEADS, FFN, POSITIONS = 128, 4, 4, 2, 384, 256
VOCABULARY = 4096
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def plain(text):
    return re.sub(r"\s+", " ", text).strip()


def is_held_out(text):
    """A function of the text without its case, so that equal texts are on one side."""
    return int(digest(text.lower()), 16) % 5 == 0


def glosses(dictionary):
    """(hash of the place, lexicographer file, definition), of each text the first by that hash."""
    found = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (dictionary / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue
            fields, gloss = line.split(" | ", 1)
            offset, lexfile = fields.split()[:2]
            # Examples come behind the definition, in quotes.
            text = plain(gloss.split('; "')[0])
            if text:
                found.append((digest(f"{part}:{offset}"), int(lexfile), text))
    once = {}
    for row in sorted(found):
        once.setdefault(row[2].lower(), row)
    return sorted(once.values()), ambiguous(found)


def ambiguous(found):
    """Texts that stand in two lexicographer files: no row of a classifier."""
    files = {}
    for _, lexfile, text in found:
        files.setdefault(text.lower(), set()).add(lexfile)
    return {text for text, those in files.items() if len(those) > 1}


def pick(rows, excluded):
    """The first rows of each part and class in the order of their hash."""
    parts = {}
    for key, lexfile, text in rows:
        if lexfile in FILES and len(text.split()) in WORDS and text.lower() not in excluded:
            side = "held out" if is_held_out(text) else "train"
            parts.setdefault((side, FILES[lexfile]), []).append((key, FILES[lexfile], text))
    result = []
    for split, start in (("train", 0), ("validation", 0), ("test", ROWS["validation"] + TRIED)):
        side = "train" if split == "train" else "held out"
        part = [r for c in CLASSES for r in parts[side, c][start : start + ROWS[split]]]
        result += [(split, name, text) for _, name, text in sorted(part)]
    assert len(result) == len(CLASSES) * sum(ROWS.values()), len(result)
    assert len({text.lower() for _, _, text in result}) == len(result), "a text stands twice"
    return result


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
        "initializer_range": 0.05,
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


def licence_text(control):
    """Copyright and licence of the database, without the markup and the packager's own stanza."""
    lines = control.split("\nFiles: debian/")[0].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Copyright:"))
    kept = ["" if line == " ." else line.removeprefix(" ") for line in lines[start:]]
    return "\n".join(line for line in kept if not line.startswith("License:")).strip() + "\n"


def notice(control, rows, trained):
    """What was taken, and the licence as it accompanies the database."""
    classes = ", ".join(f"noun.{name}" for name in CLASSES)
    return (
        "glosses.tsv holds definitions (glosses) from WordNet 3.0, Princeton University.\n"
        f"Taken: {len(rows)} glosses of noun synsets from the lexicographer files\n{classes}.\n"
        "Each row has a split, the name of the lexicographer file without 'noun.', and the gloss\n"
        "without its examples.\n"
        "base/ is a language model that Cairn trained from a random start on\n"
        f"{trained} glosses of all of WordNet's parts; base/tokenizer.json is byte-level BPE\n"
        "trained on the same glosses. None of the rows for validation and test is among them.\n"
        "Tests/Interop/quickstart/run.sh makes all of it anew, byte for byte.\n\n"
        "WordNet's copyright and licence, which glosses.tsv stays under:\n\n" + licence_text(control)
    )


def written(value):
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def table(header, rows):
    return "\n".join("\t".join(row) for row in [header, *rows]) + "\n"


def texts(dictionary, licence, output, work):
    base, start = output / "base", work / "start"
    for folder in (base, start):
        folder.mkdir(parents=True, exist_ok=True)
    rows, excluded = glosses(dictionary)
    picked = pick(rows, excluded)
    judged = {text.lower() for split, _, text in picked if split != "train"}
    trained = [text for _, _, text in rows if not is_held_out(text)]
    measured = [t for _, _, t in rows if is_held_out(t) and t.lower() not in judged][:MEASURED]
    assert not judged & {text.lower() for text in trained}, "a held-out text would be trained on"

    (output / "glosses.tsv").write_text(
        table(("split", "label", "text"), picked), encoding="utf-8"
    )
    (output / "NOTICE").write_text(
        notice(licence.read_text(encoding="utf-8"), picked, len(trained)), encoding="utf-8"
    )
    lines = [("train", text) for text in trained] + [("validation", text) for text in measured]
    (work / "glosses.tsv").write_text(table(("split", "text"), lines), encoding="utf-8")
    settings = {
        "eos_token": SPECIAL[0],
        "model_max_length": POSITIONS,
        "pad_token": SPECIAL[0],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    tokenizer = train_tokenizer(trained)
    for folder in (base, start):
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        (folder / "tokenizer_config.json").write_text(written(settings), encoding="utf-8")
        (folder / "config.json").write_text(written(configuration()), encoding="utf-8")


def bfloat16(data):
    """fp32 numbers as the nearest bf16 ones, ties to even."""
    bits = struct.unpack(f"<{len(data) // 4}I", data)
    return struct.pack(f"<{len(bits)}H", *((b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in bits))


def weights(run, output):
    data = (run / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    result, body = {"__metadata__": {"format": "pt"}}, b""
    for name, entry in sorted(header.items()):
        assert entry["dtype"] == "F32", (name, entry)
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        start = len(body)
        body += bfloat16(data[begin:end])
        result[name] = {
            "dtype": "BF16",
            "shape": entry["shape"],
            "data_offsets": [start, len(body)],
        }
    text = json.dumps(result, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (output / "base/model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["texts", *paths] if len(paths) == 4:
            texts(*map(Path, paths))
        case ["weights", *paths] if len(paths) == 2:
            weights(*map(Path, paths))
        case _:
            sys.exit(__doc__)
