"""What the processor has instructions for, as Linux tells."""

import functools
import os
from pathlib import Path

import keras

# {what has fast kernels: the flags of /proc/cpuinfo that say so, of x86 or of ARM}.
FEATURES = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
    "AMX": {"amx_tile"},
}
CPUINFO = Path("/proc/cpuinfo")


def processor_features():
    """Those of `FEATURES` that the processor has, a list; None where the system does not tell."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return None
    flags = {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()[2:]}
    return [name for name, wanted in FEATURES.items() if wanted & flags] if flags else None


@functools.cache
def has_onednn_without_avx512():
    """Whether TensorFlow computes with oneDNN here (see `dnnlib.quiet_tensorflow`), on a processor that has AVX2 alone.

    There, some of oneDNN's operations are far slower than others: what uses them has another form for such machines.
    """
    features = processor_features() or ()
    with_onednn = keras.backend.backend() == "tensorflow" and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"
    with_avx2_alone = "AVX2" in features and "AVX-512" not in features
    return with_onednn and with_avx2_alone and not keras.distribution.list_devices("gpu")


def describe_processor():
    """One line for the head of a table of speeds, such as "Intel(R) Xeon(R) Processor: AVX2, AVX-512"."""
    features = processor_features()
    if features is None:
        return "Processor: unknown"
    names = (line.partition(":")[2].strip() for line in CPUINFO.read_text().splitlines() if line[:10] == "model name")
    return f"{next(names, 'Processor')}: {', '.join(features) or 'none of ' + ', '.join(FEATURES)}"


def remark_on_precision(precision, num_gpus):
    """A sentence for the user where a precision is far slower than float32 on this machine, or None.

    Args:
        precision: One of `PRECISIONS`.
        num_gpus: GPUs that compute; 0 for the processor.
    """
    features = processor_features()
    if precision != "bf16" or num_gpus or features is None or "bf16" in features:
        return None
    return "This processor has no bfloat16 instructions: bf16 is slower here than fp32, use --precision=fp32."
