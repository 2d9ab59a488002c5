"""Train the classifier that scores generated images, and print the baselines' scores.

python examples/mnist_judge.py

The code is in tinygen/commands/judge.py, and `tinygen train judge` is the same.
"""

import sys

from tinygen.commands import command_line, judge

if __name__ == "__main__":
    sys.exit(command_line.run(judge.main))
