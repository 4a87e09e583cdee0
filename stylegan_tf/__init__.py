"""StyleGAN on TensorFlow 2 and Keras 3. `load` opens a trained network; networks, layers and the rest are in rooms.

Importing this imports nothing else: TensorFlow, which takes seconds, is imported with the first room that needs it.
"""

__version__ = "0.2.0"
__all__ = ["load"]


def load(source, *, cache_dir="cache", dtype="float32"):
    """Opens a trained generator.

    Args:
        source: The folder of a run (its newest snapshot is taken) or of a snapshot, a .keras file, a .pkl or .pt file
            of another project; or, where there is no file of that name, "avatars-64" or "digits-32", which come with
            the project; or the URL of such a file or the name of a published network, such as "ffhq-1024", which are
            downloaded.
        cache_dir: Where downloads are kept.
        dtype: Keras dtype policy to compute in, whatever the file's is.

    Returns:
        A generator: latents z [N, latent_size] -> images [N, R, R, C], nominally in [-1, 1]. Of one that has not
        finished growing, they are those of its newest block, enlarged.

    Raises:
        ValueError: There is no such network, its file is damaged, or it is no generator.
        OSError: A download failed.

    Example:
        generator = stylegan_tf.load("results/00000-digits-f-cpu")
        images = generator(keras.random.normal((4, generator.latent_size)), truncation_psi=0.7)
    """
    from stylegan_tf.files.find import find_targets, load_generator  # noqa: PLC0415 (see above)

    return load_generator(find_targets(source, cache_dir=cache_dir)[-1].path, dtype)
