#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What keeping a base in fewer bits costs in accuracy, and brings in speed and memory.

usage: base_accuracy.py CAIRN MODEL DATA [--seeds 1,2,3] [--bases fp32,bf16,int8,nf4] [--json]
                        [-- FLAG ...]

Trains a LoRA adapter over each base with each seed, in turns, and prints a table: the best epoch's
accuracy and loss on the validation rows, their spread over the seeds, real tokens per second of
training, and the largest resident size. fp32 and bf16 are the precisions over the base as stored;
int8 and nf4 are bases in codes under bf16. What stands after -- goes to every `cairn finetune`.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile

FLAGS = {
    "fp32": ["--precision", "fp32"],
    "bf16": ["--precision", "bf16"],
    "int8": ["--precision", "bf16", "--base", "int8"],
    "nf4": ["--precision", "bf16", "--base", "nf4"],
}


def run(cairn, model, data, base, seed, more):
    with tempfile.TemporaryDirectory() as output:
        command = [cairn, "finetune", model, "--task", "classify", "--data", data, "-o",
                   output + "/run", "--seed", str(seed), "--json", *FLAGS[base], *more]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{result.stderr}")
        document = json.loads(result.stdout)
    epochs = document["epochs"]
    best = next(e for e in epochs if e["epoch"] == document["best_epoch"])
    return {
        "base": base, "seed": seed, "val_accuracy": best["val_accuracy"],
        "val_loss": best["val_loss"], "tokens_per_second": document["tokens_per_second"],
        "peak_rss_bytes": document["peak_rss_bytes"], "state_digest": document["state_digest"],
    }


def spread(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def row(base, runs):
    def of(key):
        return [r[key] for r in runs if r["base"] == base]

    accuracy, loss = of("val_accuracy"), of("val_loss")
    return (f"{base:6} {statistics.mean(accuracy):9.4f} ±{spread(accuracy):.4f} "
            f"{statistics.mean(loss):9.5f} ±{spread(loss):.5f} "
            f"{statistics.median(of('tokens_per_second')):9.0f} "
            f"{max(of('peak_rss_bytes')) / 1e6:9.1f}")


def main():
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("cairn")
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--bases", default=",".join(FLAGS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words[:cut])
    bases = options.bases.split(",")
    unknown = [b for b in bases if b not in FLAGS]
    if unknown:
        sys.exit(f"--bases knows {', '.join(FLAGS)}, found '{unknown[0]}'")
    runs = []
    for seed in options.seeds.split(","):
        for base in bases:
            runs.append(run(options.cairn, options.model, options.data, base, int(seed),
                            words[cut + 1:]))
            last = runs[-1]
            print(f"{base}, seed {seed}: accuracy {last['val_accuracy']:.4f}, loss "
                  f"{last['val_loss']:.5f}", file=sys.stderr)
    if options.json:
        print(json.dumps({"runs": runs}, indent=2))
        return
    print("base    accuracy           loss            tokens/s   peak MB")
    for base in bases:
        print(row(base, runs))


if __name__ == "__main__":
    main()
