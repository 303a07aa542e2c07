# SPDX-License-Identifier: Apache-2.0
"""Holds runs on several ranks against the run of one process; see run.sh."""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from killing import Killer, ranks_of

LAUNCHERS = {
    "openmpi": ["mpirun.openmpi", "--oversubscribe", "--bind-to", "none"],
    "mpich": ["mpirun.mpich"],
}
SECONDS = 300  # A run takes a few; nothing may wait for a rank that is gone.


class Suite:
    def __init__(self, options):
        self.root, self.plain = pathlib.Path(options.root), options.plain
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cairn-mpi-"))
        self.passed = self.failed = 0
        self.patience = SECONDS
        self.environment = dict(
            os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")

    def expect(self, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
        print(("ok   " if good else "FAIL ") + what + (f": {detail}" if not good else ""), flush=True)

    # -- commands

    def finetune(self, output, *more):
        golden = self.root / "Tests/Fixtures/golden"
        return [
            "finetune", str(golden / "models/qwen2"), "--task", "classify", "--data",
            str(golden / "dataset/train.jsonl"), "--test-data", str(golden / "dataset/test.jsonl"),
            "-o", str(output), "--epochs", "3", "--batch-size", "16", "--dropout", "0.1",
            "--threads", "1", "--json", *more,
        ]

    def launch(self, mpi, binary, ranks, words, **more):
        start = LAUNCHERS[mpi] + ["-n", str(ranks)] if mpi else []
        return subprocess.Popen(
            start + [binary] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment, start_new_session=True, **more)

    def run(self, mpi, binary, ranks, words):
        """The report, or None; what was said; the exit code."""
        process = self.launch(mpi, binary, ranks, words)
        out, said = process.communicate(timeout=SECONDS)
        try:
            return json.loads(out), said, process.returncode
        except json.JSONDecodeError:
            return None, said, process.returncode

    # -- checks

    def all(self):
        alone = self.folder / "alone"
        report, said, code = self.run(None, self.plain, 1, self.finetune(alone))
        if report is None:
            sys.exit(f"the single process failed with {code}: {said}")
        self.expected, self.report = report["state_digest"], report
        self.ledger = (alone / "training/ledger.jsonl").read_bytes()
        print(f"one process without MPI: {report['steps']} steps, {self.expected}")
        for name, binary in self.options.builds:
            print(f"-- {name}", flush=True)
            self.mpi, self.binary = name, binary
            self.digests()
            self.resumes()
            self.refusals()
            self.signals()
            self.kills()
            if self.options.speed:
                self.speed()
        shutil.rmtree(self.folder, ignore_errors=True)

    def same(self, what, report, output, said):
        found = report and report["state_digest"]
        figures = ["epochs_completed", "best_epoch", "best_val_loss", "test"]
        equal = (
            found == self.expected and all(report[key] == self.report[key] for key in figures)
            and (output / "training/ledger.jsonl").read_bytes() == self.ledger)
        self.expect(what, equal, f"{found}, {said[-400:]}")

    def digests(self):
        for ranks in range(1, 5):
            output = self.folder / f"{self.mpi}-{ranks}"
            start = time.monotonic()
            report, said, code = self.run(self.mpi, self.binary, ranks, self.finetune(output))
            self.seconds = time.monotonic() - start
            self.same(f"{ranks} ranks: digest, losses and ledger of one process", report, output, said)
            if ranks > 1:
                once = said.count("epoch 1:") == 1 and said.count("completed; ") == 1
                self.expect(f"{ranks} ranks: one of them speaks", once and code == 0, said[-400:])
        output = self.folder / f"{self.mpi}-alone"
        report, said, _ = self.run(None, self.binary, 1, self.finetune(output))
        self.same("the build with MPI without a launcher", report, output, said)

    def resumes(self):
        """Stops at a deadline that is over at once, so that every part takes some steps and no more."""
        output = self.folder / f"{self.mpi}-resumed"
        words = self.finetune(output, "--max-minutes", "0.001")
        counts = [4, 1, 3, 2]
        report, said, code = self.run(self.mpi, self.binary, counts[0], words)
        parts, moved = 1, 0
        while report and report["status"] == "interrupted" and parts < 40:
            before = report["steps"]
            words = ["resume", str(output), "--threads", "1", "--json"]
            if parts < 20:
                words += ["--max-minutes", "0.001"]
            report, said, code = self.run(
                self.mpi, self.binary, counts[parts % len(counts)], words)
            moved += bool(report) and report["steps"] > before
            parts += 1
        self.same(f"{parts} parts of 4, 1, 3 and 2 ranks in turn", report, output, said)
        self.expect("a resume on other ranks went on", moved >= 1, f"{moved} of {parts}")

    def refusals(self):
        def refused(what, words, sentence, ranks=2, binary=self.binary):
            report, said, code = self.run(self.mpi, binary, ranks, words)
            self.expect(
                f"refused: {what}", report is None and code != 0 and sentence in said,
                f"exit {code}: {said[-600:]}")

        output = self.folder / "refused"
        refused("a build without MPI", self.finetune(output), "this build has no MPI",
                binary=self.plain)
        refused("more ranks than groups", self.finetune(output, "--groups", "2"),
                "at most 2 ranks", ranks=3)
        refused("a run that is there", self.finetune(self.folder / f"{self.mpi}-1"),
                "holds a run already")
        refused("a command of one process", ["predict", str(self.folder)], "runs as one process")
        other = next(name for name in LAUNCHERS if name != self.mpi)
        process = self.launch(other, self.binary, 2, self.finetune(output))
        _, said = process.communicate(timeout=SECONDS)
        self.expect("refused: the launcher of another MPI",
                    process.returncode != 0 and "the MPI that this build is linked with" in said,
                    said[-600:])
        self.expect("nothing was written by any of them", not output.exists())

    def signals(self):
        """SIGTERM to one rank, whichever: all stop after the same step, and the run goes on later."""
        for rank in (0, 2):
            output = self.folder / f"{self.mpi}-signal-{rank}"
            process = self.launch(
                self.mpi, self.binary, 3, self.finetune(output, "--save-steps", "1"))
            while process.poll() is None and not (output / "step-3").exists():
                time.sleep(0.01)
            found = ranks_of(process.pid, self.binary)
            if len(found) == 3:
                os.kill(found[rank], signal.SIGTERM)
            out, said = process.communicate(timeout=SECONDS)
            report = json.loads(out) if out.strip().startswith("{") else {}
            self.expect(
                f"SIGTERM to rank {rank} of 3 stops all of them",
                report.get("status") == "interrupted" and process.returncode == 0,
                f"{len(found)} ranks, exit {process.returncode}: {said[-600:]}")
            report, said, _ = self.run(
                self.mpi, self.binary, 2, ["resume", str(output), "--threads", "1", "--json"])
            self.same("2 ranks go on behind it", report, output, said)

    def kills(self):
        killer = Killer(self, random.Random(self.options.seed))
        killer.run(self.options.kills)
        self.expect(
            f"{killer.kills} kills of a rank, {killer.resumes} resumes, {killer.complete} runs to the "
            "end with the digest of one process", not killer.faults, "; ".join(killer.faults[:3]))
        slowest = max(killer.ends, default=0)
        print(f"     a launcher ended at most {slowest:.1f} s after the kill")

    def speed(self):
        """Tokens per second of training steps; medians of interleaved runs on a larger job."""
        model = self.root / "Sources/CairnCLI/Quickstart/base"
        golden = self.root / "Tests/Fixtures/golden/dataset/train.jsonl"
        figures = {"1 rank, 2 threads": [], "2 ranks, 1 thread": [], "1 rank, 1 thread": []}
        for repeat in range(5):
            for what, (ranks, threads) in zip(figures, [(1, 2), (2, 1), (1, 1)]):
                output = self.folder / f"{self.mpi}-speed-{repeat}-{ranks}-{threads}"
                words = [
                    "finetune", str(self.options.model or model), "--task", "classify", "--data",
                    str(self.options.data or golden), "-o", str(output), "--epochs", "2",
                    "--batch-size", "32", "--threads", str(threads), "--json",
                ]
                report, said, _ = self.run(
                    self.mpi if ranks > 1 else None, self.binary, ranks, words)
                if report is None:
                    self.expect("a run for speed", False, said[-400:])
                    return
                figures[what].append(report["tokens_per_second"])
        medians = {what: sorted(all)[len(all) // 2] for what, all in figures.items()}
        for what, median in medians.items():
            print(f"     {what}: {median:.0f} tokens/s (of {', '.join(f'{n:.0f}' for n in figures[what])})")
        ratio = medians["2 ranks, 1 thread"] / medians["1 rank, 2 threads"]
        print(f"     2 ranks of 1 thread against 1 rank of 2 threads: {ratio:.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("plain")
    parser.add_argument(
        "--build", dest="builds", action="append", default=[],
        type=lambda text: tuple(text.split("=", 1)))
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--model", help="the base that --speed trains")
    parser.add_argument("--data", help="its rows")
    parser.add_argument("--release", action="store_true", help="run.sh's")
    parser.add_argument("--only", help="run.sh's")
    suite = Suite(parser.parse_args())
    suite.all()
    print(f"{suite.passed} passed, {suite.failed} failed")
    sys.exit(suite.failed != 0)


main()
