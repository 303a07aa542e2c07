# SPDX-License-Identifier: Apache-2.0
"""drive.py WORK CAIRN [--quick] [--only TEXT] [--no-merge]: runs every case with the tool.

Writes WORK/cases/<name>/{case.json, finetune.json, predict.json, merge.json, out/, merged/, kept/, log.txt}. A run
that fails is recorded in case.json and reported by the checker; the others go on.
"""
import os
import shutil
import subprocess
import sys
import time

import cases


def adapter_flags(case):
    if case.method == "full":
        return ["--method", "full", "--learning-rate", "5e-4"]
    flags = ["--method", "lora", "--rank", str(case.rank), "--alpha", str(case.alpha),
             "--learning-rate", "5e-3"]
    flags += ["--target-modules", case.target_flag()]
    if case.layers:
        flags += ["--adapter-layers", case.layers]
    if case.method == "dora":
        flags.append("--use-dora")
    if case.method == "rslora":
        flags.append("--use-rslora")
    return flags


def task_flags(case):
    names = {"single": "single-label", "multi": "multi-label", "regression": "regression"}
    return ["--problem", names[case.kind]]


class Tool:
    """The `cairn` binary under test, with one log for all calls of a case."""

    def __init__(self, binary, folder):
        self.binary, self.log = binary, os.path.join(folder, "log.txt")

    def run(self, *arguments, document=None):
        command = [self.binary, *arguments]
        with open(self.log, "a", encoding="utf-8") as log:
            log.write("$ " + " ".join(command) + "\n")
            log.flush()
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, timeout=900)
            log.write(f"exit code {done.returncode}\n")
        if done.returncode:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                last = [line for line in log.read().splitlines() if line.strip()][-2][:300]
            raise RuntimeError(f"{arguments[0]}: exit code {done.returncode}: {last}")
        if document:
            with open(document, "wb") as file:
                file.write(done.stdout)


def run_case(work, binary, case):
    folder = os.path.join(work, "cases", case.name)
    os.makedirs(folder)
    merges = "--no-merge" not in sys.argv
    record = dict(base=case.base, corpus=case.corpus, kind=case.kind, method=case.method,
                  label_count=case.label_count,
                  merged=merges, kept=merges)
    base = os.path.join(work, "bases", case.base)
    data = os.path.join(work, "corpora", case.corpus)
    out, best = os.path.join(folder, "out"), os.path.join(folder, "out", "best")
    tool = Tool(binary, folder)
    try:
        tool.run("finetune", base, "--task", "classify", *task_flags(case),
                 "--data", os.path.join(data, "train.jsonl"),
                 "--eval-data", os.path.join(data, "dev.jsonl"), "-o", out,
                 "--epochs", str(case.epochs), "--batch-size", "8", "--max-length", "128",
                 "--precision", "fp32", "--seed", "42", *adapter_flags(case), "--json",
                 document=os.path.join(folder, "finetune.json"))
        tool.run("predict", best, "--data", os.path.join(data, "test.jsonl"), "--json",
                 document=os.path.join(folder, "predict.json"))
        if merges:
            tool.run("merge", best, "-o", os.path.join(folder, "merged"), "--dtype", "fp32",
                     "--json", document=os.path.join(folder, "merge.json"))
            tool.run("merge", best, "-o", os.path.join(folder, "kept"))
            tool.run("verify", os.path.join(folder, "merged"))
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        record["error"] = str(error)
    cases.write_json(os.path.join(folder, "case.json"), record)
    return record.get("error")


def main():
    work, binary = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    chosen = cases.quick() if "--quick" in sys.argv else cases.matrix()
    if "--only" in sys.argv:
        part = sys.argv[sys.argv.index("--only") + 1]
        chosen = [case for case in chosen if part in case.name]
    names = [case.name for case in chosen]
    assert len(names) == len(set(names)), "two cases of one name"
    shutil.rmtree(os.path.join(work, "cases"), ignore_errors=True)
    for case in chosen:
        start = time.monotonic()
        error = run_case(work, binary, case)
        print(f"{time.monotonic() - start:6.1f} s  {case.name}" + (f": {error}" if error else ""),
              flush=True)


if __name__ == "__main__":
    main()
