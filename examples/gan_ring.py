"""Train a GAN on points of the plane, and see which modes of their distribution it covers.

python examples/gan_ring.py
python examples/gan_ring.py --mixture grid --out runs/grid
python examples/gan_ring.py --loss non-saturating --out runs/ring-without-penalty

The code is in tinygen/commands/ring.py, and `tinygen train ring` is the same.
"""

import sys

from tinygen.commands import command_line, ring

if __name__ == "__main__":
    sys.exit(command_line.run(ring.main))
