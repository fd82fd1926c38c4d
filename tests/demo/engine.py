"""Stands where a coding agent would: reads the prompt and makes one prepared change.

It proves that the way from an issue to a pull request works; it is not intelligent.
"""

import sys
from pathlib import Path

FUNCTION = """

def subtract(a: int, b: int) -> int:
    return a - b
"""
TEST = """

def test_subtract():
    from calculator import subtract

    assert subtract(5, 3) == 2
"""


def main() -> None:
    prompt = sys.stdin.read()
    if "subtract" not in prompt.lower():
        print("I only know how to subtract, so I changed nothing.")
        return
    with Path("calculator.py").open("a", encoding="utf-8") as module:
        module.write(FUNCTION)
    with Path("test_calculator.py").open("a", encoding="utf-8") as tests:
        tests.write(TEST)
    print("Added subtract() to the calculator, and a test for it.")


if __name__ == "__main__":
    main()
