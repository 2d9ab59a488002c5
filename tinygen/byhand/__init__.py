"""Gradients derived by hand."""
