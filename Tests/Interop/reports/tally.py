# SPDX-License-Identifier: Apache-2.0
"""Counts what holds and what does not."""


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.worst = 0.0

    def check(self, name, holds, detail=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name} {detail}")

    def near(self, name, found, expected, bound):
        """Written so that NaN and None fail."""
        distance = abs(found - expected) if found is not None else float("nan")
        self.worst = max(self.worst, distance / bound)
        self.check(name, distance <= bound, f"is {found}, expected {expected} ± {bound}")

    def finish(self, what):
        if self.worst:
            print(f"{what}: the largest distance is {self.worst:.2g} of its bound")
        print(f"{what}: {self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
