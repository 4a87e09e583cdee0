"""Where XLA keeps what it has compiled for GPUs, so that a run that goes on does not compile its steps again."""

import importlib.metadata
import os
import re
from pathlib import Path

FLAG = "--tf_xla_persistent_cache_directory"
DRIVER = Path("/proc/driver/nvidia/gpus")  # what NVIDIA's driver says of each GPU, on Linux


def gpu_models():
    """Names of the GPUs' models, as NVIDIA's driver gives them; TensorFlow is not asked, as it then reads its flags."""
    texts = [path.read_text() for path in sorted(DRIVER.glob("*/information"))]
    return sorted({match[1].strip() for text in texts for match in re.finditer(r"^Model:(.*)$", text, re.MULTILINE)})


def keep_compiled(folder, models, device="GPU"):
    """Lets XLA keep its programs in a folder of this TensorFlow and these GPUs, and look for them there.

    Call it before TensorFlow is asked for its devices: that is when it reads its flags, once. A folder that is already
    named in TF_XLA_FLAGS is left as it is. What is in the folder may be deleted at any time.

    Args:
        folder: Made if missing.
        models: Names of the GPUs; without any, nothing is kept.
        device: Kind of device whose programs are kept. Those for CPUs are not by default: TensorFlow 2.21 warns in
            pages of text when it reads them again.

    Returns:
        A sentence for the user if nothing can be kept there, else None.
    """
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if FLAG in flags or not models:
        return None
    names = [f"tensorflow-{importlib.metadata.version('tensorflow')}", *models]
    path = Path(folder).resolve() / re.sub(r"[^\w.-]+", "_", "-".join(names))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"XLA will compile everything again in the next run: {path} cannot be made ({error.strerror})."
    os.environ["TF_XLA_FLAGS"] = f"{flags} {FLAG}={path} --tf_xla_persistent_cache_device_types={device}".strip()
    return None
