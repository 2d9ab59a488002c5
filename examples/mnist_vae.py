"""Train a variational autoencoder on MNIST, with gradients by autograd or derived by hand.

python examples/mnist_vae.py
python examples/mnist_vae.py --latent 2 --out runs/manifold
python examples/mnist_vae.py --preset iwae --stages 5 --out runs/iwae
python examples/mnist_vae.py --preset likelihood --gradients by-hand --out runs/likelihood

The code is in tinygen/commands/vae.py, and `tinygen train vae` is the same.
"""

import sys

from tinygen.commands import command_line, vae

if __name__ == "__main__":
    sys.exit(command_line.run(vae.main))
