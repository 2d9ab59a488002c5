"""Tiny runs, most of whose time is for pictures, without them."""

from picture_files import pictures, without_pictures

__all__ = ["pictures", "without_pictures"]
