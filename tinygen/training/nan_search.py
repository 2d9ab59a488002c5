"""Finds the first op that gave NaN or infinity, by repeating the steps since the checkpoint.

Training looks only at the loss, and only now and then, which keeps it fast. So the first fault is
some steps back when it is noticed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tinygen.autograd import NonFiniteError, stop_at_nonfinite
from tinygen.autograd.nan_check import count_nonfinite
from tinygen.parameters import Parameters

if TYPE_CHECKING:
    from tinygen.training.trainer import Trainer


def first_fault(trainer: Trainer) -> str:
    """Take the trainer back to its last checkpoint, which is good, and on to the step of the fault.

    Returns:
        What the first fault was, for use in a sentence.
    """
    state, bad = trainer.state, trainer.state.step
    trainer.restore()
    learner = trainer.learner.watched()
    for batch in trainer.batches():
        if state.step == bad:
            break
        data, rate = trainer.draw(batch), trainer.plan.schedule(state.step)
        try:
            with stop_at_nonfinite():
                figures = learner.step(data, rate)
        except NonFiniteError as error:
            # An overflow in one player's update would otherwise be blamed on the other player.
            return _overflow(learner.parameters, state.step) or f"at step {state.step + 1}, {error}"
        if overflow := _overflow(learner.parameters, state.step):
            return overflow
        state.step += 1
        state.add(figures, len(batch[0]))
        for name, (total, _) in state.totals.items():
            if not math.isfinite(float(total)):
                return f"at step {state.step} the {name.replace('_', ' ')} is too large to add up"
    return f"somewhere before step {bad}, though autograd's own steps stay finite"


def _overflow(parameters: Parameters, step: int) -> str:
    """A sentence on the first parameter that became NaN or infinite in an update, or ""."""
    for name, values in parameters.items():
        if count_nonfinite(values):
            return f"the update of step {step + 1} made {name} NaN or infinite"
    return ""
