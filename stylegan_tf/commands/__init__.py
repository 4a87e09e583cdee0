"""The command lines of `stylegan`, for users of a trained network: options in, one call. Training stays outside."""
