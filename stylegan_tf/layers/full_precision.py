"""What mixed precision leaves in float32."""


class FullPrecision:
    """Mixed into a Keras layer, makes it compute in the dtype of its variables, under any dtype policy.

    Under "mixed_bfloat16" and "mixed_float16", only convolutions and blurs compute in half precision: they take all the
    time. Everything else has this class: statistics and the gradients of biases are sums over all pixels, which
    overflow or stop growing in half precision (a float16 sum of ones ends at 2048), and what is left is cheap.

    Keras casts the inputs of a layer to its `input_dtype` and what it reads of its variables to its `compute_dtype`; a
    cast to the same dtype is no operation.
    """

    @property
    def compute_dtype(self):
        return self.variable_dtype

    @property
    def input_dtype(self):
        return self.variable_dtype
