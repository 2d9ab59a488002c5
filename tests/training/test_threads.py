"""A small network trains on one thread of BLAS; a large one on as many as there are."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tinygen import optim
from tinygen.backend import get_backend
from tinygen.models import VAE
from tinygen.training import Plan, Progress, RunDir, SingleLossLearner, Trainer

NUMPY = get_backend("numpy")


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("hidden", "samples", "batch", "channels", "during"),
    [
        (128, 1, 200, (), {1}),  # 200 x 128 x 128
        (2048, 1, 200, (), {2}),  # 200 x 2048 x 128
        (256, 50, 4, (), {2}),  # of 4 images 50 draws each
        (256, 1, 4, (), {1}),
        (8, 1, 200, (32, 64), {2}),  # 8 windows an image: 200 x 8 x 288 x 64
        (8, 1, 20, (32, 64), {1}),
    ],
)
def test_small_products_have_one_thread(hidden, samples, batch, channels, during, tmp_path):
    image = (8, 16, 1) if channels else ()
    model = VAE(128, (hidden,), 2, objective="iwae", samples=samples, channels=channels,
                image=image)  # fmt: skip
    learner = SingleLossLearner(model, model.initialise(0), optim.SGD, model.gradients("by-hand"))
    run_dir = RunDir(tmp_path)
    run_dir.open()
    plan = Plan(1, batch, seed=0, show_every=10, schedule=lambda step: 0.0, config={})
    trainer = Trainer(learner, plan, run_dir, Progress(1, {}, quiet=True), NUMPY)
    seen = []
    with threadpool_limits(2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("this BLAS has no threads")
        trainer.fit(np.zeros((batch, 8, 16), np.uint8), lambda: seen.append(threads()) or {})
        assert threads() == {2}
    assert seen == [during]
