"""Data sets: the multi-resolution TFRecord format, its sources, the tools that check it, and the training pipeline.

Nothing is imported here: worker processes import modules of this package, and must not pay for TensorFlow.
"""
