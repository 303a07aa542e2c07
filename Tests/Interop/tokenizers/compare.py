# SPDX-License-Identifier: Apache-2.0
"""Compares `cairn tokenize` with the Python package `tokenizers`: ids, offsets and decoded text.

usage: compare.py --cairn BIN [--fuzz N] [--seed S] [--corpus FILE ...] TOKENIZER.json ...

A corpus is a .tsv or .tsv.gz with a column `text`. Exit code 1 when anything differs.
"""
import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time

from tokenizers import Tokenizer

POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " ", "      ",
    " \t\r\n\x0b\x0c\x85\u00a0\u2003\u2028\u3000\u200b", "\n\n\r\n", ".,;:!?'\"-_()[]{}<>/\\|@#$%^&*+=~`",
    "'s't're've'm'll'd'S'LL'ſ", "éèüñçßøåÅĳǄİıſﬁﬀ½²", "\u0300\u0301\u0323\u0307\u0308\u0327\u0334\u0345\u05b0\u064b",
    "漢字仮名交じり文ひらがなカタカナ", "한국어가각힣", "\u1100\u1112\u1161\u1175\u11a8\u11c2", "العربية", "ไทยกำ", "नमस्तेक़",
    "😀👩‍🦰🏽🇫🇷❤️✂", "▁Ġ", "\x00\x01\x1f\x7f\u200d\u200e\ufeff\ufffd",
]
MARKS = ["<s>", "</s>", "<mask>", "<word>", "[CLS]", "[MASK]", "<|endoftext|>", "<|im_start|>",
         "<extra>", "Café", "end", " the ", "hello", "it's", "1234567"]


def fuzz(count, seed):
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randrange(1, 12)):
            kind = rng.random()
            if kind < 0.12:
                parts.append(rng.choice(MARKS))
            elif kind < 0.22:  # Any scalar at all.
                for _ in range(rng.randrange(1, 6)):
                    scalar = rng.randrange(0x110000 - 0x800)
                    parts.append(chr(scalar if scalar < 0xD800 else scalar + 0x800))
            elif kind < 0.34:  # Any scalar of the basic plane.
                for _ in range(rng.randrange(1, 6)):
                    scalar = rng.randrange(0xF800)
                    parts.append(chr(scalar if scalar < 0xD800 else scalar + 0x800))
            else:
                pool = rng.choice(POOLS)
                parts.append("".join(rng.choice(pool) for _ in range(rng.randrange(1, 9))))
        texts.append("".join(parts))
    return texts


def corpus(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")
    column = lines[0].split("\t").index("text")
    return [line.split("\t")[column] for line in lines[1:] if line]


def golden_texts(directory):
    texts = []
    folder = os.path.join(directory, "tokenizer")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            texts += [case["text"] for case in json.load(file)["cases"]]
    return list(dict.fromkeys(texts))


def compare(cairn, path, texts, scratch):
    data = os.path.join(scratch, "texts.jsonl")
    with open(data, "w", encoding="ascii") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + "\n")
    result = subprocess.run([cairn, "tokenize", path, "--data", data], stdout=subprocess.PIPE, check=True)
    lines = result.stdout.decode("ascii").splitlines()
    reference = Tokenizer.from_file(path)
    reference.no_truncation()
    reference.no_padding()
    differences, tokens = 0, 0
    if len(lines) != len(texts):
        raise SystemExit(f"{path}: {len(lines)} lines for {len(texts)} texts")
    for text, line in zip(texts, lines):
        ours, theirs = json.loads(line), reference.encode(text)
        tokens += len(theirs.ids)
        decoded = reference.decode(theirs.ids, skip_special_tokens=False)
        same = {"ids": ours["ids"] == theirs.ids,
                "offsets": [tuple(x) for x in ours["offsets"]] == theirs.offsets,
                "decoded": ours["decoded"] == decoded}
        if not all(same.values()):
            differences += 1
            if differences <= 3:
                wrong = [key for key, equal in same.items() if not equal]
                print(f"  {wrong} {ascii(text)}\n    ours   {ascii([ours[k] for k in wrong])[:400]}\n"
                      f"    theirs {ascii([{'ids': theirs.ids, 'offsets': theirs.offsets, 'decoded': decoded}[k] for k in wrong])[:400]}")
    print(f"{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}: "
          f"{len(texts)} texts, {tokens} tokens, {differences} differences", flush=True)
    return differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--fuzz", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--golden")
    parser.add_argument("--corpus", action="append", default=[])
    parser.add_argument("tokenizers", nargs="+")
    options = parser.parse_args()
    texts = fuzz(options.fuzz, options.seed)
    if options.golden:
        texts += golden_texts(options.golden)
    for path in options.corpus:
        texts += corpus(path)
    started = time.time()
    with tempfile.TemporaryDirectory() as scratch:
        total = sum(compare(options.cairn, path, texts, scratch) for path in options.tokenizers)
    print(f"{len(options.tokenizers)} tokenizers, {len(texts)} texts each: {total} differences "
          f"({time.time() - started:.0f} s)")
    sys.exit(1 if total else 0)


main()
