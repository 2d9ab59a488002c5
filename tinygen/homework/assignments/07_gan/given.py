# And a training, of the functions above. Its images have two pixels.


def step_of_discriminator(D, real, fake, lam, rate):
    """One step down the gradient of the loss with R1 at the real images; the loss before it."""
    A, e, w, c = D
    r, H, F, K = forward(D, real)
    q, H_fake, F_fake, _ = forward(D, fake)
    dr, dq = discriminator_gradient(r, q)
    V, R = penalty(w, F, A, lam)
    dA, dw = penalty_gradient(V, w, F, A, lam)
    more, de = penalty_curvature(V, w, K, A, real, lam)
    of_real, of_fake = backward(dr, w, F, H, real), backward(dq, w, F_fake, H_fake, fake)
    for value, *terms in zip((A, e, w), of_real, of_fake, (dA + more, de, dw), strict=True):
        value -= rate * sum(terms)
    c -= rate * (dr.sum() + dq.sum())
    return discriminator_loss(r, q) + R


def step_of_generator(G, D, Z, rate):
    """One step down the gradient of the non-saturating loss; the loss before it."""
    (B, b), (A, _, w, _) = G, D
    Y = generate(G, Z)
    q, _, F, _ = forward(D, Y)
    loss, dq = non_saturating(q)
    dB, db = to_generator(to_images(dq, w, F, A), Y, Z)
    B -= rate * dB
    b -= rate * db
    return loss


def train(steps=3000, batch=64, lam=0.1, rate=0.5):
    """Images of two pixels that depend on each other; prints what the generator has learned."""
    normal = np.random.default_rng(0).standard_normal
    mix, middle = np.array([[0.8, 0.5], [0.0, 0.6]]), np.array([0.5, -0.5])
    D = laid_out(2 * normal((2, 16))), np.zeros(16), normal(16) / 4, np.zeros(1)
    G = laid_out(normal((2, 2)) / 4), np.zeros(2)
    for step in range(1, steps + 1):
        real = laid_out(sigmoid(normal((batch, 2)) @ mix + middle))
        fake = generate(G, laid_out(normal((batch, 2))))
        loss_of_D = step_of_discriminator(D, real, fake, lam, rate)
        loss_of_G = step_of_generator(G, D, laid_out(normal((batch, 2))), rate)
        if step % (steps // 5) == 0:
            print(f"step {step}: the loss of D is {loss_of_D:.3f}, that of G {loss_of_G:.3f}")
    learned = laid_out(G[0])
    print("mean of the sums:", G[1].round(2), "should be", middle)
    print("their covariance:", (learned.T @ learned).round(2).tolist(), end=" should be ")
    print((mix.T @ mix).round(2).tolist())


if __name__ == "__main__":
    train()
