"""Time and memory of converting COCO annotations to every format.

    python benchmarks/bench_formats.py SHARDS... [--annotations 10000] [--to yolo voc ...]

The annotations of the shards are repeated until there are enough; photos are not put beside them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from anymask.data import formats
from anymask.data.record import Record
from anymask.data.sources import open_records


def repeated(shards: list[str], wanted: int) -> Iterator[Record]:
    found = 0
    for number, record in enumerate(cycle(list(open_records(*shards))), 1):
        if found >= wanted:
            return
        found += len(record.annotations)
        image = {**record.fields["image"], "image_id": number}
        yield replace(record, key=f"{number:06}", fields={**record.fields, "image": image})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--annotations", type=int, default=10_000)
    parser.add_argument("--to", nargs="*", default=list(formats.FORMATS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        records = list(repeated(options.shards, options.annotations))
        contents = formats.Contents(records, len(records))
        formats.write(contents, source, formats.Notes(), format_name="coco", photos="none")
        print(f"{sum(len(one.annotations) for one in records):,} annotations, {len(records):,} photos")
        for name in options.to:
            measure(source, Path(folder, name), name)


def measure(source: Path, target: Path, name: str) -> None:
    """In a process of its own, whose largest memory it prints."""
    program = (
        "import resource, sys; from pathlib import Path; from anymask.data import formats\n"
        "notes = formats.Notes(); found = formats.read(Path(sys.argv[1]), notes, format_name='coco')\n"
        "formats.write(found, Path(sys.argv[2]), notes, format_name=sys.argv[3], photos='none')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, len(notes.failures),"
        " notes.failures[:1])"
    )
    before, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-c", program, str(source), str(target), name]
    done = subprocess.run(command, capture_output=True, text=True)
    wall, used = time.perf_counter() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - cpu
    result = done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]
    print(f"{name:14} {wall:6.1f} s  cpu {used:6.1f} s  MB, failures: {result}", flush=True)


if __name__ == "__main__":
    main()
