# SPDX-License-Identifier: Apache-2.0
"""Reads history.csv and report.html as others do: csv, a strict HTML parser, a browser.

usage: pages.py DIR [--browser CHROMIUM] [--keep DIR]

DIR/report-NAME holds an example's files; --keep is where the browser's pictures stay.
"""
import argparse
import csv
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import html5lib
from PIL import Image

from tally import Tally

MARKUP = "<script>alert(\"1\")</script> & 'friends'"
XHTML = "{http://www.w3.org/1999/xhtml}"
STEPS = {
    "usual": 720, "one-step": 1, "long": 100_000, "broken": 90, "labels": 80, "numbers": 80,
    "empty": 0, "classes": 80,
}
SECTIONS = {
    "usual": ["Curves", "Test", "Epochs", "Time and memory", "Settings", "Digests"],
    "one-step": ["Curves", "Time and memory"], "empty": [],
}


def check_table(tally, name, path):
    data = path.read_bytes()
    tally.check(f"{name}: line ends", data.count(b"\r\n") == data.count(b"\n"))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    steps = [row for row in rows if row["kind"] == "step"]
    tally.check(f"{name}: steps", len(steps) == STEPS[name], len(steps))
    tally.check(f"{name}: no field too many or too few", all(
        None not in row and None not in row.values() for row in rows))
    tally.check(
        f"{name}: in order", [int(row["step"]) for row in steps] == list(range(1, len(steps) + 1)))
    numbers = [
        float(value) for row in rows for key, value in row.items()
        if key not in ("kind", None) and value]
    broken = sum(not math.isfinite(number) for number in numbers)
    tally.check(f"{name}: numbers", broken == (3 if name == "broken" else 0), broken)


def check_document(tally, name, path):
    parser = html5lib.HTMLParser(strict=True)
    try:
        root = parser.parse(path.read_text(encoding="utf-8"))
    except html5lib.html5parser.ParseError as error:
        return tally.check(f"{name}: strict HTML", False, error)
    tally.check(f"{name}: strict HTML", True)
    headings = ["".join(h.itertext()) for h in root.iter(XHTML + "h2")]
    if name in SECTIONS:
        tally.check(f"{name}: sections", headings == SECTIONS[name], headings)
    tally.check(f"{name}: no script", not list(root.iter(XHTML + "script")))
    if name == "broken":
        title = "".join(next(root.iter(XHTML + "h1")).itertext())
        tally.check(f"{name}: title", title == MARKUP, title)
        cells = ["".join(th.itertext()) for th in root.iter(XHTML + "th")]
        tally.check(f"{name}: label", cells.count(MARKUP) == 3, cells)
    outside = []
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d")):
            if not (0 <= float(x) <= 440 and 0 <= float(y) <= 286):
                outside.append((x, y))
    tally.check(f"{name}: curves within their frames", not outside, outside[:3])


class Browser:
    def __init__(self, program):
        self.program = program
        self.profile = tempfile.TemporaryDirectory()

    def run(self, page, *flags):
        """Standard output, and the lines of the page's console."""
        result = subprocess.run(
            [self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-dev-shm-usage", "--enable-logging=stderr",
             f"--user-data-dir={self.profile.name}", *flags, page.as_uri()],
            capture_output=True, text=True, timeout=120)
        return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def ink(picture):
    """The share of pixels that differ from the corner's colour, and that colour's brightness."""
    image = Image.open(picture).convert("L")
    back = image.getpixel((0, 0))
    histogram = image.histogram()
    return 1 - histogram[back] / sum(histogram), back


def check_browser(tally, program, folders, keep):
    browser = Browser(program)
    faulty = keep / "faulty.html"
    faulty.write_text("<!DOCTYPE html><title>x</title><script>undefinedName()</script>")
    _, console = browser.run(faulty, "--dump-dom")
    tally.check("browser: a page's error is seen", len(console) > 0)
    for name, page in folders:
        for kind, width, scheme in (("light", 1100, 1), ("dark", 1100, 0), ("narrow", 500, 1)):
            picture = keep / f"{name}-{kind}.png"
            _, console = browser.run(
                page, f"--screenshot={picture}", f"--window-size={width},2600",
                f"--blink-settings=preferredColorScheme={scheme}")
            tally.check(f"browser: {name} {kind}: no message", not console, console)
            share, back = ink(picture) if picture.exists() else (0, None)
            # The emptiest page is a heading: 0.0012. A blank one has 0.
            tally.check(f"browser: {name} {kind}: not blank", share > 0.0005, share)
            tally.check(
                f"browser: {name} {kind}: background", back is not None
                and (back < 60 if kind == "dark" else back > 200), back)
        # A copy that may run a script tells how wide the page became.
        source = re.sub(
            r'<meta http-equiv="Content-Security-Policy"[^>]*>', "",
            page.read_text(encoding="utf-8"))
        copy = keep / f"{name}-measured.html"
        copy.write_text(source.replace(
            "</main>", "</main><script>document.title = 'width ' + "
            "document.documentElement.scrollWidth + ' of ' + innerWidth</script>"))
        dump, _ = browser.run(copy, "--dump-dom", "--window-size=500,900")
        width = re.search(r"<title>width (\d+) of (\d+)</title>", dump)
        tally.check(
            f"browser: {name}: nothing sticks out on a narrow screen",
            width and int(width[1]) <= int(width[2]), width and width[0])
        copy.unlink()
    faulty.unlink()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--browser")
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    tally = Tally()
    folders = sorted(arguments.directory.glob("report-*"))
    names = [folder.name.removeprefix("report-") for folder in folders]
    tally.check("every example is there", sorted(names) == sorted(STEPS), names)
    for name, folder in zip(names, folders):
        check_table(tally, name, folder / "history.csv")
        check_document(tally, name, folder / "report.html")
        size = (folder / "report.html").stat().st_size
        tally.check(f"{name}: size", size < 250_000, size)
    if arguments.browser:
        with tempfile.TemporaryDirectory() as scratch:
            keep = arguments.keep or pathlib.Path(scratch)
            keep.mkdir(parents=True, exist_ok=True)
            pages = [(n, f / "report.html") for n, f in zip(names, folders)]
            check_browser(tally, arguments.browser, pages, keep)
    return tally.finish("pages")


if __name__ == "__main__":
    sys.exit(main())
