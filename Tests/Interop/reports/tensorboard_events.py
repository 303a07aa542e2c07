# SPDX-License-Identifier: Apache-2.0
"""Reads Cairn's event files with the real TensorBoard, both of its readers.

usage: tensorboard_events.py DIR

DIR/events.json says what a run and its two resumes logged; DIR/events holds the files.
"""
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
from tensorboard.backend.event_processing import event_accumulator, event_file_loader

from tally import Tally


def expected(document):
    """What is to be seen: each start drops everything from its first step on."""
    series = {}
    for start in document["starts"]:
        for tag, values in series.items():
            series[tag] = [(step, value) for step, value in values if step < start["first_step"]]
        for entry in start["entries"]:
            for tag, value in entry["scalars"].items():
                series.setdefault(tag, []).append((entry["step"], np.float32(value)))
    return series


def same(found, wanted):
    return len(found) == len(wanted) and all(
        a[0] == b[0] and (np.float32(a[1]) == b[1] or (math.isnan(a[1]) and math.isnan(b[1])))
        for a, b in zip(found, wanted))


def check_files(tally, folder, document):
    names = sorted(os.listdir(folder))
    tally.check("one file per start", len(names) == len(document["starts"]), names)
    pattern = re.compile(r"events\.out\.tfevents\.\d{10}\.[^/]+\.\d+")
    for name, start in zip(names, document["starts"]):
        tally.check(f"name {name}", pattern.fullmatch(name))
        events = list(event_file_loader.LegacyEventFileLoader(str(folder / name)).Load())
        tally.check(f"{name}: version", events[0].file_version == "brain.Event:2", events[0])
        tally.check(
            f"{name}: start", events[1].session_log.status == 1
            and events[1].step == start["first_step"], events[1])
        tally.check(f"{name}: length", len(events) == 2 + len(start["entries"]), len(events))
        tally.check(
            f"{name}: times", all(a.wall_time <= b.wall_time for a, b in zip(events, events[1:])))


def check_accumulator(tally, folder, series):
    accumulator = event_accumulator.EventAccumulator(
        str(folder), size_guidance={event_accumulator.SCALARS: 0})
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    tally.check("accumulator: tags", sorted(tags) == sorted(series), tags)
    for tag, wanted in series.items():
        found = [(event.step, event.value) for event in accumulator.Scalars(tag)]
        tally.check(f"accumulator: {tag}", same(found, wanted), (found, wanted))


def check_server(tally, folder, series, kind):
    """The web server as a user starts it, asked for what its page would draw."""
    process = subprocess.Popen(
        [os.path.join(os.path.dirname(sys.executable), "tensorboard"), "--logdir", str(folder),
         "--port", "0", "--host", "127.0.0.1", f"--load_fast={kind}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        base = None
        for line in process.stdout:
            match = re.search(r"http://[\d.]+:\d+/", line)
            if match:
                base = match.group(0)
                break
        tally.check(f"server {kind}: starts", base is not None)
        if base is None:
            return

        def ask(path):
            with urllib.request.urlopen(base + "data/plugin/scalars/" + path, timeout=20) as reply:
                return json.loads(reply.read().decode())

        deadline = time.monotonic() + 60
        tags = {}
        while time.monotonic() < deadline and len(tags.get(".", {})) < len(series):
            tags = ask("tags")
            time.sleep(0.2)
        tally.check(f"server {kind}: tags", sorted(tags.get(".", {})) == sorted(series), tags)
        for tag, wanted in series.items():
            query = urllib.parse.urlencode({"run": ".", "tag": tag})
            found = []
            # Tags appear before the last file has been read.
            while time.monotonic() < deadline:
                found = [
                    (step, float(value)) for _, step, value in ask(f"scalars?{query}")]
                if same(found, wanted):
                    break
                time.sleep(0.2)
            tally.check(f"server {kind}: {tag}", same(found, wanted), (found, wanted))
    finally:
        process.terminate()
        process.wait(timeout=20)


def check_torn(tally, folder, series):
    """A file that a crash cut within its last record still gives all the others."""
    last = folder / sorted(os.listdir(folder))[-1]
    whole = last.read_bytes()
    torn = folder.parent / "torn"
    torn.mkdir(exist_ok=True)
    for name in os.listdir(folder):
        (torn / name).write_bytes((folder / name).read_bytes())
    (torn / last.name).write_bytes(whole[:-3])
    accumulator = event_accumulator.EventAccumulator(
        str(torn), size_guidance={event_accumulator.SCALARS: 0})
    accumulator.Reload()
    tag = "train/loss"
    found = [(event.step, event.value) for event in accumulator.Scalars(tag)]
    tally.check("torn file: all but the last", same(found, series[tag][:-1]), found)


def main(directory):
    tally = Tally()
    document = json.loads((directory / "events.json").read_text())
    folder = directory / "events"
    series = expected(document)
    check_files(tally, folder, document)
    check_accumulator(tally, folder, series)
    check_server(tally, folder, series, "false")
    check_server(tally, folder, series, "true")
    check_torn(tally, folder, series)
    return tally.finish("tensorboard")


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
