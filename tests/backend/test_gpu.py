"""What only a real GPU can show; every other test runs there by the fixture `backend`.

The rules that CuPy's arrays follow are in test_rules_of_cupy.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.backend.numpy_backend import BLOCK, adam_numpy

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 33, BLOCK + 5])
def test_the_adam_kernel_is_the_plain_one(gpu, dtype, size):
    random = np.random.default_rng(size)
    host = [random.standard_normal(size).astype(dtype) for _ in range(3)]
    host.append(random.random(size).astype(dtype))  # v is no square of anything, but positive
    device = [gpu.asarray(a) for a in host]
    numbers = dict(rate=0.01, beta1=0.9, beta2=0.99, epsilon=1e-8, decay=0.001)
    for _ in range(3):
        adam_numpy(*host, **numbers)
        gpu.adam(*device, **numbers)
    # A fused multiply-add rounds once where NumPy rounds twice.
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    for a, b in zip(device, host, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(gpu.to_numpy(a), b, rtol=tolerance, atol=tolerance)


def test_adam_keeps_a_nan(gpu):
    vectors = [gpu.asarray(np.array([1.0, np.nan, 1.0], np.float32)) for _ in range(4)]
    gpu.adam(*vectors, rate=0.1, beta1=0.9, beta2=0.99, epsilon=1e-8, decay=0.0)
    assert np.isnan(gpu.to_numpy(vectors[0])).tolist() == [False, True, False]


def test_training_steps_agree_with_numpy(gpu):
    """The same start, the same batch: ten steps on both end at the same loss and parameters."""
    model = tg.models.Autoencoder(pixels=20, hidden=(16,), latent=4)
    images = np.random.default_rng(0).random((32, 20)).astype(np.float32)

    def train(backend):
        p = model.initialise(seed=0, backend=backend)
        x, optimizer, step = backend.asarray(images), tg.Adam(p), tg.value_and_grad(model.loss)
        losses = []
        for _ in range(10):
            loss, gradients = step(p, x)
            optimizer.update(p, gradients, rate=1e-3)
            losses.append(loss)
        return [float(loss) for loss in losses], backend.to_numpy(p.flat)

    losses, flat = train(gpu)
    expected_losses, expected = train(tg.get_backend("numpy"))
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)  # float32, other order of sums
    norm = np.linalg.norm(expected)
    assert np.linalg.norm(flat - expected) < 1e-4 * norm  # the same


def test_the_generator_is_reproducible(gpu):
    def draw(seed):
        return gpu.to_numpy(gpu.generator(seed).standard_normal((1000,), dtype=np.float32))

    assert (draw((3, 1)) == draw((3, 1))).all()
    assert (draw((3, 1)) != draw((3, 2))).any()


def test_labels_and_indices_out_of_range_are_refused(gpu):
    """CuPy by itself would wrap them around."""
    z = tg.Tensor(gpu.asarray(np.zeros((2, 3), np.float32)), requires_grad=True)
    with pytest.raises(ValueError, match="label 3 is out of range"):
        tg.cross_entropy(z, gpu.asarray(np.array([0, 3])))
    with pytest.raises(IndexError, match="out of range"):
        z[gpu.asarray(np.array([0, 2]))]


SPECIAL = {"erf": math.erf, "lgamma": math.lgamma}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float16, 2e-3), (np.float32, 2e-6), (np.float64, 1e-14)]
)
def test_special_functions(gpu, name, dtype, tolerance):
    x = np.linspace(0.25, 4, 31).astype(dtype)
    y = getattr(gpu, name)(gpu.asarray(x))
    assert y.dtype == dtype
    expected = [SPECIAL[name](float(each)) for each in x]
    np.testing.assert_allclose(gpu.to_numpy(y), expected, rtol=tolerance, atol=tolerance)


SLEEP = """extern "C" __global__ void sleep(long long cycles) {
    for (long long start = clock64(); clock64() - start < cycles;) {}
}"""


def test_no_step_waits(gpu):
    """A step is queued while the GPU is still busy with what came before it."""
    model = tg.models.VAE(pixels=20, hidden=(16,), latent=4)
    p = model.initialise(seed=0, backend=gpu)
    x = gpu.asarray(np.random.default_rng(0).random((32, 20)).astype(np.float32))
    optimizer, loss_and_grads = tg.Adam(p), tg.value_and_grad(model.loss)

    def train():
        loss, gradients = loss_and_grads(p, *model.draw(x, gpu.generator((0, 1)), 1))
        optimizer.update(p, gradients, rate=1e-3)
        return loss

    stream = gpu.xp.cuda.Stream(non_blocking=True)
    gpu.synchronize()
    with stream:
        train()  # compiles the kernels and asks for memory
        gpu.synchronize()
        gpu.xp.RawKernel(SLEEP, "sleep")((1,), (1,), (np.int64(4 * 10**9),))  # two seconds
        loss = train()
        assert not stream.done
        assert np.isfinite(float(loss))
