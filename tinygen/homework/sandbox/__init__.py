"""Runs an untrusted program: it gets arrays, returns arrays, and can reach nothing else."""
