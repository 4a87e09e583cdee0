"""What a GPU is sent in a step, as far as it can be counted without one."""

from processes import finish, start

from benchmarks import step_pieces


def test_the_processor_waits_for_nothing():
    lines = finish(start(step_pieces.__file__, "--config=f", "--resolution=8", "--minibatch=2")).splitlines()
    assert lines[1] == step_pieces.HEADER.rstrip()
    rows = [line.split(maxsplit=6) for line in lines[2:-1]]
    assert [row[2] for row in rows] == ["D", "G", "average"]
    for _, _, piece, compiled, operations, waits, *_ in rows:
        assert (compiled, waits) == ("1", "0")
        # z twice and one noise image a layer, each an operation, and few besides.
        assert operations == "0" if piece == "average" else 6 < int(operations) <= 20
    name, milliseconds = lines[-1].split()[:2]
    assert name == "f:" and 0 < float(milliseconds) < 1000
