"""Runs a program that nobody trusts: it gets arrays, returns arrays, and can reach nothing else."""
