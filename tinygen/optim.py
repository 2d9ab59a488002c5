"""Optimisers, which work in place on flat vectors, and the learning rates they are given.

An optimiser is made for one `Parameters`. ``update(parameters, gradients, rate)`` takes one step;
the rate comes in at every step, from a schedule, so there is nothing to forget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import cos, pi, sqrt

import numpy as np

from tinygen.backend import Array, backend_of, namespace
from tinygen.backend.writes import WRITES
from tinygen.display import html_table
from tinygen.parameters import Parameters, refuse_other_types

Schedule = Callable[[int], float]
"""The learning rate of a step; steps count from 0."""


class Optimizer:
    """What every optimiser shares: its state, vectors of the parameters' length, and its step.

    Attributes:
        state: vectors by name, all that a checkpoint must keep besides `steps`.
        steps: the number of updates so far.

    One of your own defines in ``_step`` how it changes `x` in place, given the gradient `g`:

    >>> import numpy as np
    >>> class SignDescent(Optimizer):
    ...     def _step(self, x, g, rate):
    ...         x -= rate * np.sign(g)
    >>> p = Parameters({"x": (2,)}, np.array([4.0, -4.0]))
    >>> SignDescent(p).update(p, {"x": np.array([100.0, -0.01])}, rate=0.5)
    >>> p["x"]
    array([ 3.5, -3.5])
    """

    def __init__(self, parameters: Parameters, *state: str) -> None:
        refuse_other_types(type(self).__name__, parameters)
        if "v" in state and parameters.flat.dtype.itemsize < 4:
            raise TypeError(
                f"{type(self).__name__}: expected parameters of float32 or float64, got "
                f"{parameters.flat.dtype}, in which the square of a gradient of 0.0001 is 0"
            )
        xp = namespace(parameters.flat)
        self.steps = 0
        self.state: dict[str, Array] = {name: xp.zeros_like(parameters.flat) for name in state}
        self._scratch: Array | None = None

    def update(
        self, parameters: Parameters, gradients: Parameters | Mapping[str, Array], rate: float
    ) -> None:
        """Write one step into `parameters`; a graph recorded on the old values becomes stale.

        Args:
            gradients: in the layout of the parameters, or arrays by the same names, such as
                ``tinygen.grad(loss, leaves(parameters))`` gives.
            rate: the learning rate of this step.
        """
        refuse_other_types(type(self).__name__, parameters)
        if not isinstance(gradients, Parameters):
            gradients = parameters.gathered(gradients)
        x, g = parameters.flat, gradients.flat
        for name, other in (("gradients", g), *self.state.items()):
            if x.shape != other.shape or x.dtype != other.dtype:
                raise ValueError(
                    f"{type(self).__name__}: parameters are {x.shape} {x.dtype}, "
                    f"{name} {other.shape} {other.dtype}; expected the same"
                )
        self.steps += 1
        try:
            self._step(x, g, rate)
        finally:  # what is interrupted halfway has written something
            for vector in (x, *self.state.values()):
                WRITES.note(vector)

    def _step(self, x: Array, g: Array, rate: float) -> None:
        raise NotImplementedError

    def _options(self) -> dict[str, float]:
        """Its numbers by name, and how many steps it took."""
        numbers = {name: x for name, x in vars(self).items() if isinstance(x, (int, float))}
        return {**{k: x for k, x in numbers.items() if k != "steps"}, "steps": self.steps}

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={x}" for name, x in self._options().items())
        return f"{type(self).__name__}({inside})"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, (), [*self._options().items()])

    def _room(self, x: Array) -> Array:
        """A vector to compute in, allocated once."""
        if self._scratch is None:
            self._scratch = namespace(x).empty_like(x)
        return self._scratch


class SGD(Optimizer):
    """Gradient descent with momentum: ``m <- momentum m + g``, ``x <- x - rate m``.

    This is the form of Polyak (1964) as PyTorch has it: the rate stands outside `m`. With
    `nesterov`, the step is ``x <- x - rate (momentum m + g)``: Nesterov's (1983), in the form of
    Sutskever et al. (2013), with the gradient at `x`.

    >>> import numpy as np
    >>> p = Parameters({"x": (1,)}, np.array([4.0]))
    >>> sgd = SGD(p, momentum=0.0)
    >>> sgd.update(p, Parameters(p.shapes, 2 * p.flat), rate=0.25)  # the gradient of x^2
    >>> p["x"]
    array([2.])
    """

    def __init__(
        self, parameters: Parameters, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        if nesterov and not momentum > 0:
            raise ValueError(f"SGD: nesterov needs a momentum above 0, got {momentum}")
        super().__init__(parameters, *(["m"] if momentum else []))
        self.momentum, self.nesterov = momentum, nesterov

    def _step(self, x: Array, g: Array, rate: float) -> None:
        xp, step = namespace(x), self._room(x)
        direction = g
        if self.momentum:
            direction = self.state["m"]
            direction *= self.momentum
            direction += g
        if self.nesterov:
            direction = xp.multiply(direction, self.momentum, out=step)
            direction += g
        x -= xp.multiply(direction, rate, out=step)


class RMSProp(Optimizer):
    """``v <- decay v + (1 - decay) g^2``, ``x <- x - rate g / (sqrt(v) + epsilon)``.

    Tieleman and Hinton (2012), with epsilon outside the root.

    >>> import numpy as np
    >>> p = Parameters({"x": (2,)}, np.array([4.0, 400.0]))
    >>> rmsprop = RMSProp(p)
    >>> rmsprop.update(p, Parameters(p.shapes, 2 * p.flat), rate=0.1)  # the step forgets the size
    >>> p["x"].round(4)
    array([  3., 399.])
    """

    def __init__(self, parameters: Parameters, decay: float = 0.99, epsilon: float = 1e-8) -> None:
        super().__init__(parameters, "v")
        self.decay, self.epsilon = decay, epsilon

    def _step(self, x: Array, g: Array, rate: float) -> None:
        xp, v, t = namespace(x), self.state["v"], self._room(x)
        xp.multiply(g, g, out=t)
        t -= v
        t *= 1 - self.decay
        v += t
        xp.sqrt(v, out=t)
        t += self.epsilon
        xp.divide(g, t, out=t)
        t *= rate
        x -= t


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1: epsilon outside the root).

    ::

        m <- beta1 m + (1 - beta1) g            mhat = m / (1 - beta1^t)
        v <- beta2 v + (1 - beta2) g^2          vhat = v / (1 - beta2^t)
        x <- x - rate mhat / (sqrt(vhat) + epsilon)

    The backend computes all of it in one pass over memory.

    >>> import numpy as np
    >>> p = Parameters({"x": (2,)}, np.array([4.0, 400.0]))
    >>> adam = Adam(p)
    >>> adam.update(p, Parameters(p.shapes, 2 * p.flat), rate=0.1)  # the first step is the rate
    >>> p["x"].round(4)
    array([  3.9, 399.9])
    """

    def __init__(
        self,
        parameters: Parameters,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, "m", "v")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self._backend = backend_of(parameters.flat)

    def _step(self, x: Array, g: Array, rate: float) -> None:
        # mhat / (sqrt(vhat) + epsilon), both corrections pulled out of the fraction.
        root = sqrt(1 - self.beta2**self.steps)
        self._backend.adam(
            x,
            g,
            self.state["m"],
            self.state["v"],
            rate=rate * root / (1 - self.beta1**self.steps),
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon * root,
            decay=self._decay(rate),
        )

    def _decay(self, rate: float) -> float:
        return 0.0


class AdamW(Adam):
    """Adam with decoupled weight decay: ``x <- (1 - rate weight_decay) x`` besides the step.

    Loshchilov and Hutter (2019), with the decay multiplied by the rate as in PyTorch. It decays
    every parameter, biases too.

    >>> import numpy as np
    >>> p = Parameters({"x": (1,)}, np.array([100.0]))
    >>> adam = AdamW(p, weight_decay=0.5)
    >>> adam.update(p, Parameters(p.shapes, np.zeros(1)), rate=0.1)  # decays without any gradient
    >>> p["x"].round(4)
    array([95.])
    """

    def __init__(
        self,
        parameters: Parameters,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, beta1, beta2, epsilon)
        self.weight_decay = weight_decay

    def _decay(self, rate: float) -> float:
        return rate * self.weight_decay


OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSProp, "sgd": SGD}
"""The optimisers by name."""


class MovingAverage:
    """An exponential moving average of parameters, which `update` moves towards them.

    ``a <- a + (1 - d) (x - a)``, where d is `decay`, but smaller at the beginning, as the initial
    parameters are worth nothing (Polyak and Juditsky 1992; in this form Tarvainen and Valpola
    2017).

    Args:
        parameters: where the average begins.
        decay: how much of the average an update keeps, such as 0.99.

    Attributes:
        average: in memory of its own, in the layout of the parameters.

    >>> import numpy as np
    >>> p = Parameters({"x": (1,)}, np.array([0.0]))
    >>> moving = MovingAverage(p, decay=0.99)
    >>> for count in (1, 2, 3):
    ...     p.flat[...] = count
    ...     moving.update(p, count)
    >>> moving.average["x"].round(4)  # behind the last one, which is 3
    array([2.7])
    """

    def __init__(self, parameters: Parameters, decay: float) -> None:
        self.average, self.decay = parameters.copy(), decay

    def update(self, parameters: Parameters, count: int) -> None:
        """Move the average towards `parameters`; `count` is 1 in the first update, then 2, ..."""
        decay, x = min(self.decay, count / (count + 9)), self.average.flat
        x += (1 - decay) * (parameters.flat - x)
        self.average.note_write()


def clip_by_norm(gradients: Parameters, limit: float) -> Array:
    """Scale the gradients, in place, so that their norm is at most `limit`.

    Args:
        limit: above 0; ``inf`` only measures the norm.

    Returns:
        The norm before, a 0-d array; nothing waits for a GPU. For float16 it is a float32, as
        the squares of 256 and more are infinite in float16.

    >>> import numpy as np
    >>> gradients = Parameters({"W": (2,)}, np.array([30.0, 40.0]))
    >>> float(clip_by_norm(gradients, limit=5.0))  # the norm before
    50.0
    >>> gradients["W"].round(4)
    array([3., 4.])
    """
    if not limit > 0:
        raise ValueError(f"clip_by_norm: the limit must be above 0, got {limit}")
    refuse_other_types("clip_by_norm", gradients)
    g = gradients.flat
    xp = namespace(g)
    wide = g.astype(np.result_type(g.dtype, np.float32), copy=False)
    norm = xp.sqrt(xp.sum(wide * wide))
    g *= 1 / xp.maximum(norm / limit, 1)
    gradients.note_write()
    return norm


def constant(rate: float) -> Schedule:
    """Always `rate`.

    >>> rate = constant(0.1)
    >>> rate(0), rate(1000)
    (0.1, 0.1)
    """
    return lambda step: rate


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """`rate`, multiplied by `factor` whenever `every` steps have passed.

    >>> rate = step_decay(1.0, every=10, factor=0.5)
    >>> rate(0), rate(9), rate(10), rate(20)
    (1.0, 1.0, 0.5, 0.25)
    """
    return lambda step: rate * factor ** (step // every)


def linear(rate: float, steps: int) -> Schedule:
    """From `rate` linearly down to zero, which it would reach after the last step.

    >>> rate = linear(1.0, steps=4)
    >>> rate(0), rate(1), rate(3)
    (1.0, 0.75, 0.25)
    """
    return lambda step: rate * max(0.0, 1 - step / max(1, steps))


def stages(rate: float, steps: int) -> Schedule:
    """Burda et al.'s (2016): stage i = 0, 1, ... lasts ``3^i steps`` at ``rate 10^(-i / 7)``.

    As there, the factors are rounded to two digits: 1, 0.72, 0.52, 0.37, 0.27, 0.19, 0.14, and
    from the eighth stage on 0.1.

    Args:
        steps: the length of the first stage, an epoch.

    >>> rate = stages(1.0, steps=100)
    >>> rate(0), rate(100), rate(400)  # which last 100, 300 and 900 steps
    (1.0, 0.72, 0.52)
    """
    ends = [steps * (3**i - 1) // 2 for i in range(1, 8)]
    return lambda step: rate * round(10 ** (-sum(step >= end for end in ends) / 7), 2)


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """From `rate` to `final` along half a cosine (Loshchilov and Hutter 2017, one period).

    >>> rate = cosine(1.0, steps=5)
    >>> [round(rate(step), 4) for step in range(5)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0]
    """
    return lambda step: final + (rate - final) * _falling(step / max(1, steps - 1))


def warm_up(schedule: Schedule, steps: int) -> Schedule:
    """A linear rise over the first `steps` steps to where `schedule` begins, then `schedule`.

    >>> rate = warm_up(constant(1.0), steps=4)
    >>> [rate(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return lambda step: schedule(0) * (step + 1) / steps if step < steps else schedule(step - steps)


def one_cycle(
    rate: float, steps: int, rise: float = 0.3, first: float = 1 / 25, last: float = 4e-6
) -> Schedule:
    """Up to `rate` and down again, both along half a cosine.

    Smith and Topin (2018) in PyTorch's form: up from ``first * rate`` during the fraction `rise` of
    the `steps`, then down to ``last * rate``.

    >>> rate = one_cycle(1.0, steps=11)
    >>> round(rate(0), 2), round(rate(3), 2), round(rate(10), 6)
    (0.04, 0.96, 4e-06)
    """
    top = max(1, round(rise * steps) - 1)

    def at(step: int) -> float:
        if step <= top:
            return rate * (first + (1 - first) * (1 - _falling(step / top)))
        return rate * (last + (1 - last) * _falling((step - top) / max(1, steps - 1 - top)))

    return at


def _falling(t: float) -> float:
    """From 1 to 0 along half a cosine, as `t` goes from 0 to 1."""
    return 0.5 * (1 + cos(pi * min(1.0, t)))
