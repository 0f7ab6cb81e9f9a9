"""Coverage-guided fuzzing with atheris: `python -m fuzz`. Each harness opens with the invariant that it tries to break.

A harness is a module with two functions. `check(data)` raises when the bytes break the invariant; it needs no atheris,
so tests/system/test_fuzz.py runs it as well. `seeds()` gives inputs to start from.
"""

TARGETS = ("decoder", "forms", "names", "protocol", "header")
