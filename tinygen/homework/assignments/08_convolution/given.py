# A training, of the functions above.


def train(steps=40, rate=0.1):
    """Weights that are to become those of an edge detector; prints what they have become."""
    random = np.random.default_rng(0)
    edges = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    X = random.normal(size=(16, *IMAGES))
    p = q = windows_in(8, 3, 1, 1)
    rows = cut(X, 3, 1, 1, p, q)
    wanted = convolution(rows, edges.reshape(WEIGHTS), np.zeros(1), 16, p, q)
    M, e = np.zeros(WEIGHTS), np.zeros(1)
    for step in range(1, steps + 1):
        error = convolution(rows, M, e, 16, p, q) - wanted
        dM, de = parameter_gradient(rows, 2 * error / error.size)
        M -= rate * dM
        e -= rate * de
        if step % (steps // 4) == 0:
            print(f"step {step}: the mean squared error is {np.mean(error**2):.6f}")
    print(M.reshape(3, 3).round(2))


if __name__ == "__main__":
    train()
