# Your functions put together. Run this file to see them learn.


def silu(s):
    """The activation."""
    return s / (1 + np.exp(-s))


def loss_and_grads(layers, x, seen, kappa, lam):
    """J, and its gradient: a pair of `dA` and `dt` for each pair `A`, `t` in three layers."""
    one, two, three = layers
    hidden = dense(seen, *one)
    g = silu(hidden)
    u = dense(g, *two)
    logits = dense(u, *three)
    p = 1 / (1 + np.exp(-logits))
    weights = {number: A for number, (A, _) in enumerate(layers)}
    J = sum(loss_terms(p, x, u, weights, kappa, lam))

    dlogits = output_gradient(logits, x)
    du = code_gradient(input_gradient(dlogits, three[0]), u, kappa)
    dhidden = activation_backward(input_gradient(du, two[0]), hidden)
    of_data = [
        (first_weight_gradient(dhidden, x, seen), bias_gradient(dhidden)),
        (weight_gradient(du, g), bias_gradient(du)),
        (weight_gradient(dlogits, u), bias_gradient(dlogits)),
    ]
    pairs = zip(of_data, layers, strict=True)
    return J, [(with_decay(dA, A, lam), dt) for (dA, dt), (A, _) in pairs]


def bars(random, n):
    """Images (n, 16) of 4 x 4 pixels, in which one row or one column is white."""
    x, place = np.zeros((n, 4, 4)), random.integers(4, size=n)
    upright = random.random(n) < 0.5
    x[upright, :, place[upright]] = 1
    x[~upright, place[~upright], :] = 1
    return x.reshape(n, 16)


def train(steps=1001):
    """Gradient descent on bars. An image that is always the mean has J = 0.19."""
    random = np.random.default_rng(0)
    layers = [
        (random.standard_normal((o, i)) / np.sqrt(i), np.zeros(o))
        for i, o in [(16, 12), (12, 3), (3, 16)]
    ]
    for step in range(steps):
        x = bars(random, 64)
        seen = x + 0.1 * random.standard_normal(x.shape)
        batch = laid_out(x), laid_out(seen)
        J, gradients = loss_and_grads(layers, *batch, kappa=1e-4, lam=1e-5)
        pairs = zip(layers, gradients, strict=True)
        layers = [(A - 5 * dA, t - 5 * dt) for (A, t), (dA, dt) in pairs]
        if step % 250 == 0:
            print(f"step {step:4}: J = {J:.4f}")
    return layers


if __name__ == "__main__":
    train()
