"""What the metrics of one network share: how many samples, from which seed, with which files."""

from dataclasses import dataclass

from stylegan_tf.recipes.presets import split_size

CROPS = ("face", "none")
SVMS = ("primal", "reference")
DEGENERATE = ("skip", "perfect")
# Data sets whose faces stand where the crop expects them.
_FACES = ("celebahq", "ffhq")


@dataclass(frozen=True)
class Options:
    """Settings of an evaluation.

    Attributes:
        num_samples: Generated images, instead of each metric's own number.
        minibatch: Images at a time on each device; None for a number that suits the resolution. It changes nothing
            but speed and memory.
        seed: Selects latents, noise, labels and cut-offs; a sample's are drawn for its index.
        mirror: Whether half of the real images are mirrored, as in training.
        cache_dir: Folder of weights, classifiers, features of real images, and rows of unfinished evaluations.
        inception, vgg16, lpips: Local copies of the published weights, in the place of those in `cache_dir`.
        classifiers: Folder of attribute classifiers; None for those of the data set in `cache_dir`.
        crop: Part of the image that path lengths look at, "face" or "none".
        svm: "primal", or "reference" for the original's dual solver.
        degenerate: What becomes of an attribute with one class only: "skip", or "perfect" as in the reference.
        truncation_psi: Truncation, in as many layers as is usual for the network, of the images whose features are
            compared with those of real ones; None for none.
    """

    num_samples: int | None = None
    minibatch: int | None = None
    seed: int = 0
    mirror: bool = False
    cache_dir: str = "cache"
    inception: str | None = None
    vgg16: str | None = None
    lpips: str | None = None
    classifiers: str | None = None
    crop: str = "none"
    svm: str = "primal"
    degenerate: str = "skip"
    truncation_psi: float | None = None


def options_of(dataset=None, mirror=False):
    """The Options that a data set's name and its mirroring ask for."""
    return Options(mirror=mirror, crop="face" if dataset and split_size(dataset)[0] in _FACES else "none")
