"""Counts what holds of a server and what does not. All clients of this folder share it."""

import argparse
import sys
import traceback


class Checks:
    """Prints a line for every check, and remembers how many failed."""

    def __init__(self):
        self.failed = 0

    def equal(self, name, found, expected):
        """`found` must be `expected`."""
        self.holds(name, found == expected, f"found {found!r}, expected {expected!r}")

    def holds(self, name, holds, detail=""):
        """`holds` must be true."""
        if holds:
            print(f"ok      {name}")
        else:
            self.failed += 1
            print(f"FAILED  {name}: {detail}")

    def refused(self, name, kind, call):
        """`call` must raise an exception of this kind, which is returned."""
        try:
            answer = call()
        except kind as error:
            self.holds(f"{name} is refused", True)
            return error
        self.holds(f"{name} is refused", False, f"no error but {answer!r}")
        return None

    def attempt(self, name, check, *arguments):
        """Runs `check(self, *arguments)`; an exception fails it, and the next one runs all the same."""
        try:
            check(self, *arguments)
        except Exception:
            self.holds(f"{name} runs to its end", False, traceback.format_exc())


def run(description, check):
    """Runs `check(checks, url)` against the server that the command line names. The exit status is 0
    only if all checks hold."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("url", help="where the server listens, for example http://127.0.0.1:8000")
    checks = Checks()
    check(checks, parser.parse_args().url.rstrip("/"))
    print("all checks hold" if checks.failed == 0 else f"{checks.failed} checks failed")
    sys.exit(bool(checks.failed))
