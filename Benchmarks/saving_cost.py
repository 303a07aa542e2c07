# SPDX-License-Identifier: Apache-2.0
"""What keeping every step costs a run, as a share of its training time.

usage: saving_cost.py --cairn CAIRN --models DIR --corpus FILE [--pairs 6] [--steps 200,22]
                      [--turn 0.4] [--whole]

DIR holds all-MiniLM-L6-v2 and smollm2-135m; FILE is a TSV corpus with the columns id, split, label,
text, or that gzipped.

A machine's speed moves by more than is to be measured, from one run to the next. So runs that are
compared run at once and never at the same time: each has the machine for a turn of some tenths of a
second while the others are stopped, and a run's time is that of its turns. Who goes first has up to
5 % more of the machine, so places change from pair to pair: take an even number. The cost is the
difference to the run that saves only where it ends, over the time that a run by itself says it
trained. --whole also takes a checkpoint of every step (--save-steps 1). Prints every pair, and the
median; `recording` is what the ledger took of the run by itself.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time

from results import corpus

WORK = [("all-MiniLM-L6-v2", "fp32", "5e-4"), ("smollm2-135m", "bf16", "2e-4")]


def words(options, model, precision, rate, data, output, more):
    return [
        options.cairn, "finetune", os.path.join(options.models, model), "--task", "classify",
        "--data", data, "--epochs", "1", "--batch-size", "16", "--max-length", "128",
        "--precision", precision, "--learning-rate", rate, "--seed", "1", "-o", output, "--json",
        *more]


def alone(*job):
    done = subprocess.run(words(*job), capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    seconds = report["seconds"]
    return report["steps"], seconds["training"] + seconds["recording"], seconds["recording"]


def in_turns(commands, turn):
    """Seconds of each command, which all run, one at a time."""
    processes = []
    for command in commands:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.send_signal(signal.SIGSTOP)
        processes.append(process)
    spent = [0.0] * len(commands)
    while any(process.returncode is None for process in processes):
        for number, process in enumerate(processes):
            if process.returncode is not None:
                continue
            start = time.perf_counter()
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(turn)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGSTOP)
            spent[number] += time.perf_counter() - start
    if any(process.returncode for process in processes):
        raise SystemExit("a run failed")
    return spent


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    for name in ("cairn", "models", "corpus"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--steps", default="200,22")
    parser.add_argument("--turn", type=float, default=0.4)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    kinds = [("--journal", ["--journal"])]
    if options.whole:
        kinds.append(("--save-steps 1", ["--save-steps", "1", "--keep-last", "2"]))
    for (model, precision, rate), steps in zip(WORK, map(int, options.steps.split(","))):
        with tempfile.TemporaryDirectory() as folder:
            data = corpus(options.corpus, folder, steps)
            job = (options, model, precision, rate, data)
            steps, seconds, recording = alone(*job, os.path.join(folder, "alone"), [])
            print(f"{model}, {precision}: {steps} steps in {seconds:.2f} s by itself, of it "
                  f"recording {100 * recording / seconds:.2f} %", flush=True)
            costs = {name: [] for name, _ in kinds}
            for pair in range(options.pairs):
                with tempfile.TemporaryDirectory() as runs:
                    commands = [words(*job, os.path.join(runs, str(number)), more)
                                for number, more in enumerate([[], *(more for _, more in kinds)])]
                    if pair % 2:
                        spent = in_turns(commands[::-1], options.turn)[::-1]
                    else:
                        spent = in_turns(commands, options.turn)
                for (name, _), other in zip(kinds, spent[1:]):
                    costs[name].append(100 * (other - spent[0]) / seconds)
                print("  " + ", ".join(f"{value:.2f} s" for value in spent), flush=True)
            for name, found in costs.items():
                print(f"  {name}: " + ", ".join(f"{cost:.1f}" for cost in found)
                      + f"; median {statistics.median(found):.1f} % of a step", flush=True)


if __name__ == "__main__":
    main()
