# SPDX-License-Identifier: Apache-2.0
"""Compares the programs of the library article with the files that are compiled.

usage: blocks.py ARTICLE SOURCES
A program is a block of the article that holds `@main struct NAME`; its file is
SOURCES/NAME/NAME.swift without the licence line and the sentence below it.
"""
import pathlib
import re
import sys


def blocks(article):
    for block in re.findall(r"^```swift\n(.*?)^```$", article, re.MULTILINE | re.DOTALL):
        name = re.search(r"^@main struct (\w+)", block, re.MULTILINE)
        if name:
            yield name[1], block


def main():
    article, sources = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shown = dict(blocks(article.read_text()))
    compiled = {path.stem: path.read_text() for path in sorted(sources.glob("*/*.swift"))}
    failed = 0
    for name in sorted(shown.keys() | compiled.keys()):
        if name not in shown or name not in compiled:
            print(f"{name}: only in the {'article' if name in shown else 'sources'}")
            failed += 1
            continue
        body = re.sub(r"\A// SPDX[^\n]*\n(///[^\n]*\n)*\n", "", compiled[name])
        for number, (ours, theirs) in enumerate(
            zip(shown[name].split("\n"), body.split("\n")), 1
        ):
            if ours != theirs:
                print(f"{name}, line {number}: the article has {ours!r}, the file {theirs!r}")
                break
        failed += shown[name] != body
    print(f"{len(shown)} programs in {article.name}, {failed} differ from their files")
    return 1 if failed or len(shown) < 3 else 0


if __name__ == "__main__":
    sys.exit(main())
