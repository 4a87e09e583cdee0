"""The trainer: the only place with optimizers and distribution strategies. It needs Keras on TensorFlow."""
