"""Losses and gradients derived by hand, in plain arrays, equation by equation.

The number at the end of a line is that of the equation in ``docs/derivations/`` that the line
computes. Nothing here knows of autograd or its ops: the two are independent, and are compared.
"""
