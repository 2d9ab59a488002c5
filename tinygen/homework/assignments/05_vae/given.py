# Given: your functions put together, with one linear layer each way. Run this file to see them
# learn.


def loss_and_grads(p, x, eps, beta=1.0):
    """J, and its gradient with respect to each of W1 (d, 2 c), b1, W2 (c, d), b2 in p."""
    (W1, b1, W2, b2), (k, n, c) = p, eps.shape
    out = x @ W1 + b1
    m, t = out[:, :c], out[:, c:]
    u = reparameterise(m, t, eps)
    f = u @ W2 + b2
    J = loss(log_likelihood(f, x), kl(m, t), beta)

    df = logit_gradient(f, x)
    du = df @ W2.T
    dout = encoder_gradient(
        mean_through_draw(du),
        scale_through_draw(du, t, eps),
        mean_through_kl(m, beta),
        scale_through_kl(t, beta),
    )
    dW2 = u.reshape(k * n, c).T @ df.reshape(k * n, -1)
    return J, [x.T @ dout, dout.sum(axis=0), dW2, df.sum(axis=(0, 1))]


def bars(random, n):
    """Images (n, 16) of 4 x 4 pixels, in which one row or one column is white."""
    x, place = np.zeros((n, 4, 4)), random.integers(4, size=n)
    upright = random.random(n) < 0.5
    x[upright, :, place[upright]] = 1
    x[~upright, place[~upright], :] = 1
    return x.reshape(n, 16)


def train(steps=1001, c=3):
    """Gradient descent on bars. Without a code at all, J could fall to 9.0."""
    random = np.random.default_rng(0)
    p = [0.1 * random.standard_normal(shape) for shape in [(16, 2 * c), (2 * c,), (c, 16), (16,)]]
    for step in range(steps):
        x, eps = bars(random, 64), random.standard_normal((3, 64, c))
        J, gradients = loss_and_grads(p, x, eps)
        p = [value - 0.1 * gradient for value, gradient in zip(p, gradients, strict=True)]
        if step % 250 == 0:
            print(f"step {step:4}: J = {J:.3f} nats per image")
    return p


if __name__ == "__main__":
    train()
