# SPDX-License-Identifier: Apache-2.0
"""How far `cairn plan` is off, over several configurations: peak memory and time against the run.

usage: plan_check.py CAIRN CORPUS ENCODER DECODER [--rows N]

CAIRN is the executable, CORPUS a table of rows with labels, ENCODER and DECODER directories of
models. Every configuration is planned, run, and compared by `cairn plan --compare`; the first N rows
of the corpus are used. Run it on a quiet machine: the time of a plan is that of three steps.
"""
import argparse
import json
import os
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
    options = parser.parse_args()
    print(f"{'configuration':38} memory MB planned found   error   training s planned found   error")
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "rows" + os.path.splitext(options.corpus)[1])
        with open(options.corpus) as source, open(data, "w") as target:
            target.writelines(line for line, _ in zip(source, range(options.rows + 1)))
        for number, (name, model, flags) in enumerate(CONFIGURATIONS):
            run, plan = os.path.join(folder, f"run{number}"), os.path.join(folder, "plan.json")
            job = [getattr(options, model), *COMMON, "--data", data, *flags, "-o", run, "--json"]
            if os.path.exists(plan):
                os.remove(plan)
            call(options.cairn, "plan", *job, "--save", plan)
            call(options.cairn, "finetune", *job)
            found = call(options.cairn, "plan", plan, "--compare", run, "--json")
            memory, time = found["figures"]["peak_rss_bytes"], found["figures"]["training_seconds"]
            print(
                f"{name:38} {memory['predicted'] / 1e6:17.0f} {memory['measured'] / 1e6:5.0f}"
                f" {memory['error_percent']:+6.1f} % {time['predicted']:18.1f} {time['measured']:5.1f}"
                f" {time['error_percent']:+6.1f} %", flush=True)


if __name__ == "__main__":
    main()
