"""Which images a data set holds, as one hash."""

import hashlib
import json


def fingerprint(dataset, resolution=None):
    """Returns the SHA-256 that tells the images of one level from those of other data sets, hexadecimal.

    Hashed are the pixels of the smallest level, in order, and shape, encoding and size of the chosen one: a few
    megabytes instead of the whole level. The same images in any number of files have the same fingerprint.

    Args:
        dataset: MultiResolutionDataset.
        resolution: Side of the level; the default is the largest in use.

    Raises:
        DatasetError: There is no such level, or a record of the smallest is damaged.
    """
    level = dataset.level(resolution or dataset.resolution)
    facts = {"images": dataset.num_images, "shape": level.shape, "encoding": level.encoding, "bytes": level.num_bytes}
    digest = hashlib.sha256(json.dumps(facts).encode())
    smallest = dataset.resolutions[0]
    for batch in dataset.batches(smallest):
        digest.update(dataset.read_images(smallest, batch).tobytes())
    return digest.hexdigest()
