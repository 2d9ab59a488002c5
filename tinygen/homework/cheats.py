"""Cheats: programs that must get no points, though they know where the solution is.

If a wall is missing, none of them does harm: the fork bomb is a small one, and 100 GB are requested
but not written to.
"""

from __future__ import annotations

CHEATS = {
    "the checker is replaced": """
import sys
for module in list(sys.modules.values()):
    for name in ("verdict", "compare", "same", "parts", "grade"):
        if hasattr(module, name):
            setattr(module, name, lambda *a, **k: 1)
return "right"
""",
    "the solution is read": """
own, theirs = dict(locals()), {}
with open(SOLUTION) as file:
    exec(file.read(), theirs)
return theirs[FUNCTION](**own)
""",
    "NumPy is replaced": """
for name in ("allclose", "array_equal", "all", "load", "abs", "max", "isclose"):
    setattr(np, name, lambda *a, **k: True)
np.testing.assert_allclose = np.lib.format.read_magic = lambda *a, **k: None
return np.full((2, 3), 0.123)
""",
    "an endless loop": """
while True:
    pass
""",
    "100 GB": """
return np.empty(10**11 // 8)
""",
    "a file is written outside": """
with open(OUTSIDE, "w") as file:
    file.write("points")
""",
    "os._exit": """
import sys
sys.modules["os"]._exit(0)
""",
    "a forged result is printed": """
print("q1 (1): right\\n10 of 10 points", flush=True)
""",
    "a fork bomb": """
import sys
for _ in range(6):
    sys.modules["os"].fork()
""",
}
"""What replaces a question: Python, with the names SOLUTION, the file that has the answers;
FUNCTION, the function there; and OUTSIDE, a file that must not be created."""
