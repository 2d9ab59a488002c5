"""Train a GAN on MNIST, with gradients by autograd or derived by hand.

python examples/mnist_gan.py
python examples/mnist_gan.py --conditional --out runs/conditional
python examples/mnist_gan.py --preset wgan-gp --out runs/wgan-gp

The code is in tinygen/commands/gan.py, and `tinygen train gan` is the same.
"""

import sys

from tinygen.commands import command_line, gan

if __name__ == "__main__":
    sys.exit(command_line.run(gan.main))
