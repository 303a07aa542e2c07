# SPDX-License-Identifier: Apache-2.0
"""The results table of README.md: every row beside its peer in the same run.

usage: results.py --cairn CAIRN --bench CAIRN_BENCH --python PYTHON --models DIR --corpus FILE
                  [--rounds 5] [--steps 62] [--only training,files,tokens,accuracy] [--seeds 3]
                  [--accuracy-steps 0] [--only-model NAME]

PYTHON has torch, transformers, peft, safetensors, numpy and tokenizers; DIR holds all-MiniLM-L6-v2
and smollm2-135m; FILE is a TSV corpus with the columns id, split, label, text, or that gzipped.

Every round runs Cairn and each of its peers once, one after the other, on the same rows: what the
machine does meanwhile falls on both. A figure is the median of the rounds, with the least and the
greatest behind it; a ratio is the median of the rounds' own ratios. Prints Markdown, and what was
run on which machine. Nothing else should run meanwhile.
"""
import argparse
import collections
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH, LENGTH, RANK, ALPHA = 16, 128, 16, 32
# Model, precision, torch's name of it, learning rate.
TRAINING = [
    ("all-MiniLM-L6-v2", "fp32", "float32", "5e-4"),
    ("all-MiniLM-L6-v2", "bf16", "bfloat16", "5e-4"),
    ("smollm2-135m", "bf16", "bfloat16", "2e-4"),
]
# Accuracy is judged of these too: what Cairn keeps the base in, and what the peer is told.
BASES = [
    ("fp32", ["--precision", "fp32"], "float32"),
    ("bf16", ["--precision", "bf16"], "bfloat16"),
    ("int8", ["--precision", "bf16", "--base", "int8"], None),
    ("nf4", ["--precision", "bf16", "--base", "nf4"], None),
]
GROUPS = {"none": "shuffled", "length": "grouped by length"}


def run(*words):
    """Standard output of a program that must end well; its times are its own."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr[-2000:]}")
    return done.stdout


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def spread(values, form="{:.0f}"):
    """`median (least to greatest)`."""
    median, *ends = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{median} ({ends[0]} to {ends[1]})"


def ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs))


def corpus(path, folder, steps, few=("dev", "test")):
    """The corpus with as many training rows as the steps take, and few to validate and test on.

    They are spread evenly over their split: a corpus may have its classes one after the other.
    """
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        head, *rows = file.read().splitlines()
    kept = {**{split: 64 for split in few}, "train": steps * BATCH} if steps else {}
    splits = [row.split("\t")[1] for row in rows]
    counts, places, chosen = collections.Counter(splits), collections.Counter(), []
    for row, split in zip(rows, splits):
        count, place = counts[split], places[split]
        wanted = min(kept.get(split, count), count)
        places[split] += 1
        if (place + 1) * wanted // count > place * wanted // count:
            chosen.append(row)
    target = os.path.join(folder, f"rows-{steps or 'all'}.tsv")
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join([head, *chosen]) + "\n")
    return target


def cairn(options, model, flags, rate, data, seed=42):
    with tempfile.TemporaryDirectory() as folder:
        out = run(
            options.cairn, "finetune", model, "--task", "classify", "--data", data, "-o",
            os.path.join(folder, "run"), "--epochs", 1, "--batch-size", BATCH, "--max-length",
            LENGTH, "--rank", RANK, "--alpha", ALPHA, "--dropout", 0, "--learning-rate", rate,
            "--schedule", "linear", *flags, "--threads", options.threads, "--seed", seed, "--json")
    return json.loads(out)


def peer(options, model, dtype, rate, data, group, seed=42):
    out = run(
        options.python, os.path.join(HERE, "peer_finetune.py"), "--model", model, "--corpus", data,
        "--dtype", dtype, "--batch", BATCH, "--max-length", LENGTH, "--rank", RANK, "--alpha",
        ALPHA, "--lr", rate, "--group", group, "--threads", options.threads, "--seed", seed)
    return json.loads(out.splitlines()[-1])


def training(options, folder):
    data = corpus(options.corpus, folder, options.steps)
    print(f"\n{options.steps} steps of {BATCH} rows, LoRA rank {RANK} on every linear layer; real "
          f"tokens per second, peak memory:\n")
    print("| | Cairn | " + " | ".join(f"peer, {name}" for name in GROUPS.values()) + " |")
    print("|---|---|" + "---|" * len(GROUPS))
    for name, precision, dtype, rate in TRAINING:
        model = os.path.join(options.models, name)
        ours, theirs = [], {group: [] for group in GROUPS}
        for number in range(options.rounds):
            say(f"{name} {precision}, round {number + 1} of {options.rounds}")
            ours.append(cairn(options, model, ["--precision", precision], rate, data))
            for group in GROUPS:
                theirs[group].append(peer(options, model, dtype, rate, data, group))
        speed = [report["tokens_per_second"] for report in ours]
        memory = statistics.median(report["peak_rss_bytes"] for report in ours) / 1e9
        cells = [f"{spread(speed)}, {memory:.2f} GB"]
        for group in GROUPS:
            other = [report["real_tokens_per_s"] for report in theirs[group]]
            peak = statistics.median(report["peak_rss_gb"] for report in theirs[group])
            cells.append(
                f"{spread(other)}, {peak:.2f} GB: Cairn is {ratio(speed, other):.1f} times as fast")
        print(f"| {name}, {precision} | " + " | ".join(cells) + " |", flush=True)


def accuracy(options, folder):
    data = corpus(options.corpus, folder, options.accuracy_steps, few=["dev"])
    rows = f"{options.accuracy_steps * BATCH} rows" if options.accuracy_steps else "one epoch"
    print(f"\n{rows} of training, accuracy on the test rows by seed, and their mean:\n\n"
          "| | Cairn | peer, shuffled |\n|---|---|---|")
    for name, rate in dict((row[0], row[3]) for row in TRAINING).items():
        if options.only_model not in (None, name):
            continue
        model = os.path.join(options.models, name)
        for base, flags, dtype in BASES:
            ours, theirs = [], []
            for seed in range(42, 42 + options.seeds):
                say(f"{name} {base}, {rows} with seed {seed}")
                ours.append(cairn(options, model, flags, rate, data, seed)["test"]["accuracy"])
                if dtype:
                    theirs.append(
                        peer(options, model, dtype, rate, data, "none", seed)["test_accuracy"])
            cells = [
                ", ".join(f"{value:.4f}" for value in values)
                + f": {statistics.mean(values):.4f}" if values else "has no such base on a CPU"
                for values in (ours, theirs)]
            print(f"| {name}, {base} | {cells[0]} | {cells[1]} |", flush=True)


def bench(options, subject, *words):
    """The rows of as many runs of a benchmark, each of which takes its peer in turns."""
    runs = []
    for number in range(options.rounds):
        say(f"{subject}, round {number + 1} of {options.rounds}")
        runs.append(json.loads(run(
            options.bench, subject, "--peer", options.python, "--json", *words))["rows"])
    return list(zip(*runs))


def files(options, folder):
    print("\nFiles, GB/s:\n\n| | Cairn | peer | Cairn over peer |\n|---|---|---|---|")
    for rows in bench(options, "files"):
        timed = [row for row in rows if "peer_gigabytes_per_second" in row]
        if not timed:
            continue
        ours = [row["gigabytes_per_second"] for row in timed]
        theirs = [row["peer_gigabytes_per_second"] for row in timed]
        name = f"{timed[0]['work']}, {timed[0]['bytes'] / 1e6:.0f} MB"
        print(f"| {name} | {spread(ours, '{:.2f}')} | {spread(theirs, '{:.2f}')} | "
              f"{ratio(ours, theirs):.2f} |", flush=True)


def tokens(options, folder):
    print("\nTokenizers, million tokens per second of one thread:\n")
    print("| | Cairn | peer | Cairn over peer |\n|---|---|---|---|")
    data = corpus(options.corpus, folder, 0)
    for name in dict.fromkeys(row[0] for row in TRAINING):
        words = ["--model", os.path.join(options.models, name), "--data", data]
        for rows in bench(options, "tokens", *words):
            ours = [row["tokens_per_second"] / 1e6 for row in rows]
            theirs = [row["peer_tokens_per_second"] / 1e6 for row in rows]
            print(f"| {name} | {spread(ours, '{:.2f}')} | {spread(theirs, '{:.2f}')} | "
                  f"{ratio(ours, theirs):.1f} |", flush=True)


def machine(options):
    versions = run(options.python, "-c", "\n".join([
        "import importlib.metadata as m",
        "names = ['torch', 'transformers', 'peft', 'safetensors', 'numpy', 'tokenizers']",
        "print(', '.join(f'{n} {m.version(n)}' for n in names))"])).strip()
    facts = json.loads(run(options.cairn, "--version", "--json"))
    processor = "unknown"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        processor = f"{len(names)} x {names[0]}" if names else processor
    print(f"{processor}; {options.threads} threads; {json.dumps(facts)}; beside {versions}; "
          f"medians of {options.rounds}, least to greatest in brackets; load before the first run "
          f"{os.getloadavg()[0]:.2f}")


PARTS = {"training": training, "files": files, "tokens": tokens, "accuracy": accuracy}


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    for name in ("cairn", "bench", "python", "models", "corpus"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=62)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--accuracy-steps", type=int, default=0)
    parser.add_argument("--only-model")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="training,files,tokens")
    options = parser.parse_args()
    parts = options.only.split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown or options.rounds < 1 or options.steps < 3:
        parser.error(f"--only takes {', '.join(PARTS)}, --rounds 1 or more, --steps 3 or more")
    machine(options)
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            PARTS[part](options, folder)


if __name__ == "__main__":
    main()
