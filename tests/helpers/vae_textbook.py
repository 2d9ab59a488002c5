"""The VAE's loss one number at a time, with densities as a textbook has them."""

from __future__ import annotations

import math

from differences import PHI


def net(parameters, side, row, activation):
    """The last sums of the encoder or decoder for one row, and all sums before a kink."""
    count = sum(name.startswith(f"{side}.W") for name in parameters)
    kinks = []
    for k in range(1, count + 1):
        W, b = parameters[f"{side}.W{k}"], parameters[f"{side}.b{k}"]
        row = [
            sum(row[i] * float(W[i, o]) for i in range(len(row))) + float(b[o])
            for o in range(len(b))
        ]
        if k < count:
            kinks += row
            row = [PHI[activation](a) for a in row]
    return row, kinks


def normal(x, mean, std):
    return math.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


def textbook_loss(
    parameters, x, noise, beta, activation, likelihood, objective, free_bits=0.0, **geometry
):
    """The loss, each KL, and what was met before a kink. All layers are dense."""
    assert not any(geometry.values())
    (k, n, c), kinks, fit, bound = noise.shape, [], 0.0, 0.0
    divergence = [[0.0] * c for _ in range(n)]
    for i in range(n):
        row, met = net(parameters, "encoder", x[i].tolist(), activation)
        kinks += met
        mean, std = row[:c], [math.sqrt(math.exp(v)) for v in row[c:]]
        for j in range(c):
            m, sd = mean[j], std[j]
            divergence[i][j] = math.log(1 / sd) + (sd**2 + m**2) / 2 - 1 / 2
        weights = []
        for r in range(k):
            z = [m + sd * float(e) for m, sd, e in zip(mean, std, noise[r, i], strict=True)]
            a, met = net(parameters, "decoder", z, activation)
            kinks += met
            density = 1.0
            for t, u in zip(x[i].tolist(), a, strict=True):
                if likelihood == "bernoulli":
                    y = 1 / (1 + math.exp(-u))
                    density *= y**t * (1 - y) ** (1 - t)
                else:
                    variance = math.exp(float(parameters["decoder.log_var"][0]))
                    density *= normal(t, u, math.sqrt(variance))
            fit += math.log(density) / (k * n)
            prior = math.prod(normal(t, 0, 1) for t in z)
            posterior = math.prod(map(normal, z, mean, std))
            weights.append(density * (prior / posterior) ** beta)
        bound += math.log(sum(weights) / k) / n
    rates = [sum(row[j] for row in divergence) / n for j in range(c)]
    elbo = -fit + beta * sum(max(rate, free_bits) for rate in rates)
    return -bound if objective == "iwae" else elbo, rates, kinks
