# SPDX-License-Identifier: Apache-2.0
"""SIGKILL to one rank at a random moment; then the run goes on, with another number of ranks."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import time


def ranks_of(launcher, binary):
    """The processes of a binary below a launcher, in the order in which they were started."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found, frontier = [], [launcher]
    while frontier:
        parent = frontier.pop()
        children = [child for child, own in parents.items() if own == parent]
        frontier += children
        for child in children:
            try:
                if os.path.samefile(f"/proc/{child}/exe", binary):
                    found.append(child)
            except OSError:
                continue
    return sorted(found)


def torn(run):
    """What is wrong with the checkpoints of a run; the number of those that are whole."""
    whole = 0
    for entry in sorted(run.iterdir()) if run.is_dir() else []:
        if entry.name.startswith(".") or entry.is_symlink() or not entry.is_dir():
            continue
        if entry.name in ("training", "events"):
            continue
        try:
            manifest = json.loads((entry / "manifest.json").read_bytes())
        except (OSError, json.JSONDecodeError) as error:
            return f"{entry.name}: {error}", whole
        for name, facts in manifest["files"].items():
            data = (entry / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                return f"{entry.name}/{name} is not what its manifest says", whole
        whole += 1
    return None, whole


class Killer:
    def __init__(self, suite, source):
        self.suite, self.random = suite, source
        self.kills = self.resumes = self.complete = 0
        self.faults, self.ends = [], []

    def run(self, kills):
        number = 0
        while self.kills < kills and not self.faults:
            number += 1
            output = self.suite.folder / f"{self.suite.mpi}-killed-{number}"
            self.one(output, kills)
            shutil.rmtree(output, ignore_errors=True)

    def one(self, output, kills):
        """A run until its end, killed again and again on the way."""
        while not self.faults:
            fault, whole = torn(output)
            if fault:
                self.faults.append(fault)
                return
            if whole:
                words = ["resume", str(output), "--threads", "1", "--json"]
                self.resumes += 1
            else:
                shutil.rmtree(output, ignore_errors=True)
                words = self.suite.finetune(output, "--save-steps", "2", "--keep-last", "3")
            size = self.random.randint(2, 4)
            process = self.suite.launch(self.suite.mpi, self.suite.binary, size, words)
            killed = self.kills < kills and self.kill(
                process, size, self.random.uniform(0.05, self.suite.seconds))
            out, said = process.communicate(timeout=self.suite.patience)
            if killed:
                self.ends.append(time.monotonic() - killed)
                if process.returncode == 0:
                    self.faults.append(f"the launcher of a killed rank exits with 0: {said[-300:]}")
                # Which words depends on whom the loss reaches first: the launcher (on standard output),
                # its helper, or another rank, perhaps still within MPI's own start.
                if not (said + out).strip():
                    self.faults.append("nothing was said of a killed rank")
                if re.search(r"signal 4\b|Illegal instruction", said + out):
                    self.faults.append(f"a trap in another rank: {(said + out)[-600:]}")
                left = ranks_of(process.pid, self.suite.binary)
                if left:
                    self.faults.append(f"ranks {left} are left")
                continue
            try:
                report = json.loads(out)
            except json.JSONDecodeError:
                self.faults.append(f"exit {process.returncode}: {said[-600:]}")
                return
            if report["state_digest"] != self.suite.expected:
                self.faults.append(f"ended as {report['state_digest']}")
            self.complete += 1
            return

    def kill(self, process, size, delay):
        """Kills one rank after a time; when, or None if the run was over before."""
        end = time.monotonic() + delay
        while time.monotonic() < end:
            if process.poll() is not None:
                return None
            time.sleep(0.005)
        found = ranks_of(process.pid, self.suite.binary)
        if len(found) != size:
            return None
        try:
            os.kill(self.random.choice(found), signal.SIGKILL)
        except ProcessLookupError:
            return None
        self.kills += 1
        return time.monotonic()
