"""What mixed precision leaves in float32, and what of it bfloat16 does not."""


class FullPrecision:
    """Mixed into a Keras layer, makes it compute in the dtype of its variables, under any dtype policy.

    Under "mixed_bfloat16" and "mixed_float16", convolutions and blurs compute in half precision: they take most of the
    time. Statistics, dense layers and what few pixels go through have this class: sums over all pixels overflow or stop
    growing in half precision (a float16 sum of ones ends at 2048), and what is left is cheap. What stands between two
    convolutions has `PixelPrecision`.

    Keras casts the inputs of a layer to its `input_dtype` and what it reads of its variables to its `compute_dtype`; a
    cast to the same dtype is no operation.
    """

    @property
    def compute_dtype(self):
        return self.variable_dtype

    @property
    def input_dtype(self):
        return self.compute_dtype


class PixelPrecision(FullPrecision):
    """The same for what is done to every pixel between two convolutions: in bfloat16 under "mixed_bfloat16".

    There, each pass over the maps takes as long as a convolution where the processor has fast units for products, and
    so did the casts to float32 and back. Numbers have float32's range, and TensorFlow adds them up in float32; each
    operation rounds as a convolution does. In float16, whose numbers end at 65,504, it stays float32.
    """

    @property
    def compute_dtype(self):
        dtype = self.dtype_policy.compute_dtype
        return dtype if dtype == "bfloat16" else self.variable_dtype
