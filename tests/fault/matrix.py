#!/usr/bin/env python3
"""The fault matrix: each row is a real run of four ranks that something happens to.

Asserted are the exit code, the time to the end, one sentence that says what happened, that no
process and no shared memory is left, and that the run, resumed on another number of ranks, has
the losses of an undisturbed run (within 1e-10, float64) and its ledger of images exactly.

ctest plays ten rows as fault.matrix and all of them as fault.matrix_whole.
"""

import argparse
import os
import re
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path



def use_release_build():
    """What ctest sets in the environment, for a start by hand."""
    root = Path(__file__).resolve().parents[2]
    build = root / "build/release"
    for name, value in {
            "GONDOLA_PROGRAM": build / "bin/gondola", "GONDOLA_SOURCE_DIR": root,
            "GONDOLA_FAULT_POINT": build / "lib/libfault_point.so",
            "GONDOLA_MAKE_DATASET": build / "tests/bin/make_dataset",
            "GONDOLA_MPIEXEC": "mpiexec", "GONDOLA_MPIEXEC_FLAGS": "--oversubscribe --bind-to none",
            "OMP_NUM_THREADS": 1, "OMPI_ALLOW_RUN_AS_ROOT": 1,
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": 1}.items():
        os.environ.setdefault(name, str(value))
    sys.path += [str(root / "tests" / folder) for folder in ("launch", "system")]


@dataclass
class Outcome:
    code: object = None
    seconds: float = 0.0
    said: str = ""
    then: str = ""


class Failure(Exception):
    pass


def line_with(pattern, *texts):
    """The only line that the pattern matches, as the first rank says it."""
    found = [line.strip() for text in texts for line in text.splitlines() if re.search(pattern, line)]
    if len(set(map(without_rank, found))) != 1:
        raise Failure(f"{len(found)} lines match {pattern!r}:\n" + "\n".join(texts))
    return re.sub(rf"\b{re.escape(socket.gethostname())}\b", "HOST", min(found))


def play(row, place):
    """Raises Failure where something is otherwise than the row says."""
    folder = place.new(row.name)
    row.prepare(folder)
    outcome = Outcome()
    machines = row.machines(folder) if row.machines else None
    run = FaultyRun(folder, options=row.options, point=row.point,
                    through_script=row.through_script, machines=machines)
    try:
        if row.point is not None:
            run.wait_for_mark()
        start = time.monotonic()
        row.act(run)
        outcome.code = run.end(timeout=row.within + 30)
        outcome.seconds = time.monotonic() - start
        errors = without_wraps(run.errors)
        if outcome.code != row.code:
            raise Failure(f"exit code {outcome.code} instead of {row.code}:\n{run.output[-1500:]}\n{errors}")
        if outcome.seconds > row.within:
            raise Failure(f"took {outcome.seconds:.1f} seconds")
        if row.said:
            outcome.said = line_with(row.said, errors, run.output, run.seen)
        if row.code not in (0, 75) and len(own_sentences(errors)) > 1:
            raise Failure("it said more than one sentence:\n" + errors)
        if row.leaves_segments:
            run.remove_segments()
        left = run.left_behind()
        if left:
            raise Failure("left behind: " + ", ".join(left))
    finally:
        run.close()
        if machines:
            machines.close()
        row.clean_up(folder)
    if row.resume:
        outcome.then = resume(row, place, folder)
    elif row.code == 0 and row.compares:
        outcome.then = compare(row, place, folder)
    return outcome


def resume(row, place, folder):
    row.before_resume(folder)
    run = FaultyRun(folder, ranks=row.resume, options=row.options)
    try:
        code = run.end(timeout=PATIENCE)
    finally:
        run.close()
    if code != row.resume_code:
        raise Failure(f"the resumed run ended with {code}:\n{run.errors}")
    said = f"{line_with(row.resume_said, run.errors)}; " if row.resume_said else ""
    if row.resume_code != 0:
        return f"resume: {code}, {said[:-2]}"
    after = re.search(r"resumed after step (\d+)", run.output)
    if not after:
        raise Failure("the second start did not resume:\n" + run.output)
    compare(row, place, folder)
    return f"{said}resumed after step {after[1]} on {row.resume} ranks: as undisturbed"


def compare(row, place, folder):
    found = differences(folder, place.reference(row.options), row.up_to)
    if found:
        raise Failure("; ".join(found))
    return "as undisturbed" if row.up_to == STEPS else f"as undisturbed up to step {row.up_to}"


def own_sentences(errors):
    """What befalls a file, several ranks can see before the first ends all: one sentence then."""
    said = [line for line in errors.splitlines() if line.startswith("gondola: ")]
    of_ranks = {without_rank(line) for line in said if without_rank(line) != line}
    return [line for line in said if without_rank(line) == line] + sorted(of_ranks)


def without_rank(line):
    return re.sub(r"^gondola: rank \d+: ", "gondola: ", line)


def without_wraps(errors):
    """mpirun breaks its sentence about a dead rank where it likes."""
    return re.sub(r"(mpi\w+ noticed[^\n]*)\n(?!-)", r"\1 ", errors)


def table(results):
    lines = ["| fault | phase | exit code | seconds | said | afterwards |", "|---|---|---|---|---|---|"]
    for row, outcome in results:
        cells = [row.fault, row.phase, str(outcome.code), f"{outcome.seconds:.1f}", outcome.said,
                 outcome.then]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument("--row", action="append", metavar="NAME", help="play this one; repeatable")
    parser.add_argument("--ci", action="store_true", help="play the ten rows that CI plays")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table there too, after each row")
    arguments = parser.parse_args()

    chosen = rank_rows() + file_rows()
    if arguments.ci:
        chosen = [row for row in chosen if row.ci]
    if arguments.row:
        unknown = set(arguments.row) - {row.name for row in chosen}
        if unknown:
            parser.error(f"no row {', '.join(sorted(unknown))}: --list prints them")
        chosen = [row for row in chosen if row.name in arguments.row]
    if arguments.list:
        for row in chosen:
            print(f"{row.name:32} {row.fault}, {row.phase}: {row.code}")
        return 0

    played, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="gondola-test-", ignore_cleanup_errors=True) as root:
        place = Place(Path(root))
        for row in chosen:
            case = f"test_{row.name.replace('-', '_')} (matrix.Row)"
            reason = row.needs()
            if reason:
                print(f"{case} ... skipped '{reason}'", flush=True)
                continue
            try:
                played.append((row, play(row, place)))
                verdict = "ok"
            except Failure as failure:
                print(failure)
                verdict = "FAIL"
            except Exception:
                traceback.print_exc(file=sys.stdout)
                verdict = "ERROR"
            failed += verdict != "ok"
            print(f"{case} ... {verdict}", flush=True)
            if arguments.table:
                arguments.table.write_text(table(played) + "\n")
    print(table(played))
    return 1 if failed else 0


if __name__ == "__main__":
    use_release_build()
    import namespaces
    if "--list" not in sys.argv:
        namespaces.enter()

    from faulty_run import STEPS, FaultyRun, Place, differences
    from matrix_files import file_rows
    from matrix_ranks import rank_rows
    from processes import PATIENCE

    sys.exit(main())
