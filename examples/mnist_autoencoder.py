"""Train an autoencoder on MNIST, with gradients by autograd or derived by hand.

python examples/mnist_autoencoder.py
python examples/mnist_autoencoder.py --gradients by-hand --backend cupy

The code is in tinygen/commands/autoencoder.py, and `tinygen train autoencoder` is the same.
"""

import sys

from tinygen.commands import autoencoder, command_line

if __name__ == "__main__":
    sys.exit(command_line.run(autoencoder.main))
