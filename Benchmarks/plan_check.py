# SPDX-License-Identifier: Apache-2.0
"""How far `cairn plan` is off, over several configurations: peak memory and time against the run.

usage: plan_check.py CAIRN CORPUS ENCODER DECODER [--rows N] [--rounds N]

CAIRN is the executable, CORPUS a table of rows with labels, ENCODER and DECODER directories of
models. Every configuration is planned, run, and compared by `cairn plan --compare`, in several
rounds, of which the median of each error is shown; the first rows of the corpus are used. Run it on a
quiet machine: the time of a plan is that of a few seconds.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

COMMON = ["--task", "classify", "--epochs", "1", "--max-length", "128", "--seed", "1"]

CONFIGURATIONS = [
    ("encoder, fp32, LoRA", "encoder", ["--precision", "fp32"]),
    ("encoder, bf16, LoRA", "encoder", ["--precision", "bf16"]),
    ("encoder, bf16, DoRA, rank 8", "encoder", ["--use-dora", "--rank", "8"]),
    ("encoder, fp32, full", "encoder", ["--method", "full", "--precision", "fp32"]),
    ("decoder, bf16, LoRA", "decoder", ["--precision", "bf16"]),
    ("decoder, bf16, q and v, 512 tokens", "decoder",
     ["--target-modules", "q_proj,v_proj", "--token-budget", "512"]),
]


def call(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    for name in ("cairn", "corpus", "encoder", "decoder"):
        parser.add_argument(name)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    columns = ("MB planned", "found", "error  "), ("s planned", "found", "error  ")
    print(f"{'configuration':38}" + "".join(f"{a:>12}{b:>12}{c:>11}" for a, b, c in columns))
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "rows" + os.path.splitext(options.corpus)[1])
        with open(options.corpus) as source, open(data, "w") as target:
            target.writelines(line for line, _ in zip(source, range(options.rows + 1)))
        for number, (name, model, flags) in enumerate(CONFIGURATIONS):
            rounds = []
            for turn in range(options.rounds):
                run, plan = (os.path.join(folder, f"{kind}{number}-{turn}") for kind in ("run", "plan"))
                job = [
                    getattr(options, model), *COMMON, "--data", data, *flags, "-o", run, "--json"]
                call(options.cairn, "plan", *job, "--save", plan)
                call(options.cairn, "finetune", *job)
                found = call(options.cairn, "plan", plan, "--compare", run, "--json")["figures"]
                rounds.append([found["peak_rss_bytes"], found["training_seconds"]])
                shutil.rmtree(run)
            text = f"{name:38}"
            for figures, scale, form in ((0, 1e-6, "12.0f"), (1, 1, "12.1f")):
                median = {
                    key: statistics.median(turn[figures][key] for turn in rounds)
                    for key in ("predicted", "measured", "error_percent")}
                text += (
                    f"{median['predicted'] * scale:{form}}{median['measured'] * scale:{form}}"
                    f"{median['error_percent']:+9.1f} %")
            print(text, flush=True)


if __name__ == "__main__":
    main()
