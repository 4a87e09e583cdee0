"""Files of JSON lines that grow by a line at a time."""

import json

from filelock import FileLock

from dnnlib.files import acquired


def read_records(path, keys):
    """The records with these keys in a .jsonl file, oldest first; torn and foreign lines are passed over.

    Args:
        path: Path; there need be no such file.
        keys: Set of strings.

    Returns:
        A list of dictionaries.
    """
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.keys() >= keys:
            records.append(record)
    return records


def append_record(path, record):
    """Appends one line, in the place of a last one that a killed process did not finish.

    Processes that append to the same file wait for one another; .NAME.lock is what they wait at.
    """
    line = json.dumps(record, allow_nan=False).encode() + b"\n"
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with acquired(lock, f"writing {path}"), path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
