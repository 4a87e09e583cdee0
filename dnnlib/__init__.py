"""Helpers that know nothing of GANs."""
