"""The convolutional autoencoder and VAE in PyTorch, as a reference for docs/convolution.md.

The network, the initialisation and the recipe are those of ``--architecture conv``; order and noise
are PyTorch's own.

    PYTHONPATH=. python tests/benchmarks/conv_by_torch.py autoencoder --seed 0
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tinygen.data import load

EPOCHS, BATCH, WIDTH = 10, 128, 256
CHANNELS = (32, 64)


def network(latent: int, heads: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder; a stride of 2 halves 28 to 14 and 7."""
    a, b = CHANNELS
    encoder = nn.Sequential(
        nn.Conv2d(1, a, 3, 2, 1), nn.GELU(), nn.Conv2d(a, b, 3, 2, 1), nn.GELU(),
        nn.Flatten(), nn.Linear(49 * b, WIDTH), nn.GELU(), nn.Linear(WIDTH, heads * latent),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(latent, WIDTH), nn.GELU(), nn.Linear(WIDTH, 49 * b), nn.GELU(),
        nn.Unflatten(1, (b, 7, 7)), nn.ConvTranspose2d(b, a, 3, 2, 1, 1), nn.GELU(),
        nn.ConvTranspose2d(a, 1, 3, 2, 1, 1), nn.Flatten(),
    )  # fmt: skip
    for module in (*encoder, *decoder):
        if hasattr(module, "weight"):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return encoder, decoder


def autoencoder_loss(encoder, decoder, x):
    """The squared error of an image, and the mean of pixels that is minimised."""
    error = functional.mse_loss(torch.sigmoid(decoder(encoder(x))), x.flatten(1))
    return error, 784 * error


def vae_loss(encoder, decoder, x):
    """The negative ELBO in nats per image, which is minimised."""
    mu, log_var = encoder(x).chunk(2, dim=1)
    z = mu + (log_var / 2).exp() * torch.randn_like(mu)
    nll = functional.binary_cross_entropy_with_logits(decoder(z), x.flatten(1), reduction="sum")
    kl = 0.5 * (log_var.exp() + mu**2 - 1 - log_var).sum()
    bound = (nll + kl) / len(x)
    return bound, bound


TASKS = {"autoencoder": (32, 1, autoencoder_loss, 4e-3), "vae": (20, 2, vae_loss, 6e-3)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("task", choices=TASKS)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    torch.manual_seed(args.seed)
    latent, heads, loss, rate = TASKS[args.task]
    data = load("mnist")
    train, test = (
        torch.from_numpy(x.astype(np.float32) / 255)[:, None]
        for x in (data.train_images, data.test_images)
    )
    encoder, decoder = network(latent, heads)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(parameters, rate, betas=(0.9, 0.95))
    steps = EPOCHS * -(-len(train) // BATCH)
    rising = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda k: min((k + 1) / rising, (steps - k) / (steps - rising))
    )
    for epoch in range(1, EPOCHS + 1):
        begin = perf_counter()
        for rows in torch.randperm(len(train)).split(BATCH):
            adam.zero_grad()
            loss(encoder, decoder, train[rows])[0].backward()
            adam.step()
            schedule.step()
        with torch.no_grad():
            figures = [float(loss(encoder, decoder, x)[1]) * len(x) for x in test.split(1000)]
        seconds = perf_counter() - begin
        print(f"epoch {epoch}  test {sum(figures) / len(test):.3f}  {seconds:.1f} s", flush=True)
    print(f"{sum(x.numel() for x in parameters)} parameters")


if __name__ == "__main__":
    main()
