# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of runs that save, and a look at what is left, by other code than ours.

usage: kill.py CAIRN ROOT [--kills N] [--seed N]

Two runs go on at once, one per core. Each is killed, looked at, resumed, killed again; when it is
complete a new one begins. What must hold after every kill:

- every directory under a checkpoint's name has all files of its manifest, with size and SHA-256;
- `latest`, where it is, names one of them, whose manifest has the run's id;
- a checkpoint that the run said was saved is there, unless a newer one took its place;
- nothing but hidden leftovers and the lock lies beside them.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

# Folders of a run that are no checkpoints.
OTHERS = {"training", "events"}
SAVED = re.compile(r"saved step-(\d+)")


class Lost(Exception):
    pass


def manifest_of(directory):
    """The manifest of a directory whose files are all as it says."""
    try:
        manifest = json.loads((directory / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise Lost(f"{directory.name} has no manifest: {error}") from error
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    text = json.dumps(rest, separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != manifest["sha256"]:
        raise Lost(f"{directory.name}/manifest.json is not what its digest says")
    for name, entry in manifest["files"].items():
        try:
            data = (directory / name).read_bytes()
        except OSError as error:
            raise Lost(f"{directory.name}/{name}: {error}") from error
        if len(data) != entry["size"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise Lost(f"{directory.name}/{name} is damaged")
    return manifest


def look(run, promised):
    """What a kill left; the step of the newest checkpoint, 0 when there is none."""
    if not run.exists():
        if promised:
            raise Lost(f"the directory is gone, step {promised} was promised")
        return 0
    steps, ids = [0], set()
    for entry in sorted(run.iterdir()):
        if entry.name.startswith(".") or entry.name in OTHERS or entry.is_symlink():
            continue
        if not entry.is_dir():
            continue
        manifest = manifest_of(entry)
        ids.add(manifest["run_id"])
        steps.append(json.loads((entry / "training/state.json").read_bytes())["run"]["step"])
    if len(ids) > 1:
        raise Lost(f"checkpoints of {len(ids)} runs")
    latest = run / "latest"
    if latest.is_symlink():
        name = os.readlink(latest)
        if "/" in name or not (run / name / "manifest.json").is_file():
            raise Lost(f"latest names {name}")
    if max(steps) < promised:
        raise Lost(f"newest step {max(steps)}, but step {promised} was said to be saved")
    return max(steps)


class Worker:
    """One run after the other in a folder of its own."""

    def __init__(self, cairn, root, folder, seed):
        self.cairn, self.root, self.folder = cairn, root, folder
        self.random = random.Random(seed)
        self.kills = self.losses = self.complete = self.refused = self.checkpoints = 0
        self.number, self.run, self.promised = 0, None, 0

    def start(self):
        golden = self.root / "Tests/Fixtures/golden"
        if self.run is None:
            self.number += 1
            self.run, self.promised = self.folder / f"run-{self.number}", 0
            command = [
                self.cairn, "finetune", str(golden / "models/qwen2"), "--task", "classify",
                "--data", str(golden / "dataset/train.jsonl"), "-o", str(self.run),
                "--epochs", "6", "--batch-size", "4", "--save-steps", "1", "--keep-last", "2",
                "--threads", "1",
            ]
            if self.number % 2 == 0:  # Steps from the journal, and checkpoints with steps between.
                command[command.index("--save-steps") + 1] = "5"
                command.append("--journal")
        else:
            command = [self.cairn, "resume", str(self.run), "--threads", "1"]
        self.log = tempfile.TemporaryFile()
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)

    def said(self):
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        self.log.close()
        return text

    def round(self):
        """Starts the run, kills it, and looks."""
        process = self.start()
        deadline = time.monotonic() + self.random.uniform(0.03, 0.6)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed = True
        else:
            killed = False
        process.wait()
        text = self.said()
        self.promised = max([self.promised] + [int(step) for step in SAVED.findall(text)])
        if killed:
            self.kills += 1
        newest = look(self.run, self.promised)
        self.checkpoints = max(self.checkpoints, newest)
        if killed:
            if newest == 0:  # Nothing to resume from: it was killed before its first checkpoint.
                shutil.rmtree(self.run, ignore_errors=True)
                self.run = None
        elif process.returncode == 0:
            self.complete += 1
            shutil.rmtree(self.run)
            self.run = None
        else:
            raise Lost(f"exit {process.returncode}: {text[-400:]}")

    def work(self, until):
        while not until():
            try:
                self.round()
            except Lost as loss:
                self.losses += 1
                print(f"LOST in {self.run}: {loss}", flush=True)
                self.run = None  # Kept as it lies; a new run begins.


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cairn")
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    workers = []
    for index in range(2):
        (folder / str(index)).mkdir()
        workers.append(
            Worker(options.cairn, options.root, folder / str(index), options.seed + index))

    def until():
        return sum(worker.kills + worker.losses for worker in workers) >= options.kills

    start = time.monotonic()
    threads = [threading.Thread(target=worker.work, args=(until,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kills = sum(worker.kills for worker in workers)
    losses = sum(worker.losses for worker in workers)
    print(
        f"{kills} kills in {time.monotonic() - start:.0f} s, "
        f"{sum(worker.number for worker in workers)} runs, "
        f"{sum(worker.complete for worker in workers)} complete, farthest step "
        f"{max(worker.checkpoints for worker in workers)}: {losses} losses")
    if losses == 0:
        shutil.rmtree(folder)
    # A suite that never came to a checkpoint has shown nothing.
    shown = max(worker.checkpoints for worker in workers) > 10
    print(f"{kills if shown else 0} passed, {losses if shown else losses + 1} failed")
    return 0 if losses == 0 and shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
