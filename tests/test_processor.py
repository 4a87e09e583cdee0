"""What is read of the processor, and who is told that bfloat16 is slow on it."""

import pytest

from stylegan_tf.runtime import processor

X86 = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu {}\n"
ARM = "processor\t: 0\nFeatures\t: fp {}\n"


@pytest.fixture
def flags(monkeypatch, tmp_path):
    """A function that makes the processor one with these lines."""

    def use(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")

    return use


@pytest.mark.parametrize(
    ("text", "features", "line"),
    [
        (X86.format("avx2"), ["AVX2"], "Xeon: AVX2"),
        (X86.format("avx2 avx512f avx512_bf16"), ["AVX2", "AVX-512", "bf16"], "Xeon: AVX2, AVX-512, bf16"),
        (X86.format("avx2 avx512f amx_bf16 amx_tile"), [*processor.FEATURES], "Xeon: AVX2, AVX-512, bf16, AMX"),
        (X86.format("sse4"), [], "Xeon: none of AVX2, AVX-512, bf16, AMX"),
        (ARM.format("asimd bf16"), ["bf16"], "Processor: bf16"),
        ("processor\t: 0\n", None, "Processor: unknown"),
    ],
)
def test_features(flags, text, features, line):
    flags(text)
    assert processor.processor_features() == features
    assert processor.describe_processor() == line


def test_a_system_that_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert processor.processor_features() is None
    assert processor.remark_on_precision("bf16", 0) is None


def test_bfloat16_without_instructions_is_remarked(flags):
    flags(X86.format("avx2 avx512f"))
    assert "--precision=fp32" in processor.remark_on_precision("bf16", num_gpus=0)
    assert processor.remark_on_precision("bf16", num_gpus=1) is None
    assert processor.remark_on_precision("fp32", num_gpus=0) is None
    flags(X86.format("avx512_bf16"))
    assert processor.remark_on_precision("bf16", num_gpus=0) is None
