"""Coverage-guided fuzzing with atheris: `python -m fuzz`. Each harness opens with the invariant that it tries to break.

A harness is a module with two functions. `check(data)` raises if the bytes break the invariant; it does not need
atheris, so tests/system/test_fuzz.py runs it as well. `seeds()` yields inputs to start from.
"""

TARGETS = ("decoder", "forms", "names", "protocol", "header")
