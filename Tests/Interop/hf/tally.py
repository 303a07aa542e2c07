# SPDX-License-Identifier: Apache-2.0
"""tally.py WORK STACK...: adds up the checkers' results; the last line is "N passed, N failed"."""
import os
import sys

import cases


def main():
    work = os.path.abspath(sys.argv[1])
    names = sorted(os.listdir(os.path.join(work, "cases")))
    passed = failed = 0
    for stack in sys.argv[2:]:
        results = cases.read_json(os.path.join(work, f"results-{stack}.json"))
        failed += len(set(names) - set(results))  # a case that a checker never reached
        for found in results.values():
            good = sum(ok for ok, _ in found.values())
            passed, failed = passed + good, failed + len(found) - good
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
