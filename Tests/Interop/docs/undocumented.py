# SPDX-License-Identifier: Apache-2.0
"""Lists the public symbols of symbol graphs that have no documentation: file:line, kind, name.

usage: undocumented.py DIRECTORY ROOT
"""
import json
import pathlib
import sys
import urllib.parse


def symbols(directory):
    for path in sorted(pathlib.Path(directory).glob("*.symbols.json")):
        graph = json.loads(path.read_text())
        # Module@Other is what Module adds to the types of Other.
        yield from ((path.name.split(".")[0], symbol) for symbol in graph["symbols"])


def is_documented(symbol):
    lines = symbol.get("docComment", {}).get("lines", [])
    return any(line["text"].strip() for line in lines)


def place(symbol, root):
    location = symbol.get("location")
    if not location:
        return "?:0"
    file = pathlib.Path(urllib.parse.unquote(location["uri"].removeprefix("file://")))
    file = file.relative_to(root) if file.is_relative_to(root) else file
    return f"{file}:{location['position']['line'] + 1}"


def main():
    directory, root = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    public, missing = 0, []
    for module, symbol in symbols(directory):
        identifier = symbol["identifier"]["precise"]
        if symbol["accessLevel"] not in ("public", "open") or "::SYNTHESIZED::" in identifier:
            continue
        public += 1
        if not is_documented(symbol):
            name = ".".join(symbol["pathComponents"])
            missing.append(f"{place(symbol, root)}: {symbol['kind']['identifier']} {module} {name}")
    for line in sorted(missing):
        print(f"undocumented: {line}")
    print(f"{public - len(missing)} passed, {len(missing)} failed: public symbols with documentation")
    return 1 if missing or public == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
