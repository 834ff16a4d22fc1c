"""Rows of the fault matrix: what happens to files, limits and run folders."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

from faulty_run import OPTIONS
from matrix_row import HELD, NEXT_CHECKPOINT, Row, at, needs_mounts, stop
from processes import halt, send
from training import Point, checkpoints, flags, gondola


def storage():
    def checkpoints_removed(run):
        run.wait_for_checkpoint()
        shutil.rmtree(run.run / "checkpoints")
        run.release()

    def checkpoints_read_only(run):
        run.wait_for_checkpoint()
        path = run.run / "checkpoints"
        subprocess.run(["mount", "--bind", path, path], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        run.release()

    def writable_again(folder):
        subprocess.run(["umount", "--lazy", folder / "run/checkpoints"], check=True)

    def log_on_full_device(folder):
        (folder / "run/logs").mkdir(parents=True)
        (folder / "run/logs/rank-1.log").symlink_to("/dev/full")

    for error, words in (("ENOSPC", "No space left on device"), ("EIO", "Input/output error")):
        low = error.lower()
        for what, file in (("write", NEXT_CHECKPOINT), ("sync", NEXT_CHECKPOINT)):
            yield Row(f"{low}-checkpoint-{what}", f"{error} on a checkpoint ({what})", "checkpoint",
                      74, f"gondola: .*{words}", Point(what, 0, 13, error, file), within=60)
        for what, file in (("metrics", "metrics.jsonl"), ("table", "metrics.csv"),
                           ("ledger", "ledger.csv")):
            yield Row(f"{low}-{what}", f"{error} on {file}", "after the step", 74,
                      f"gondola: rank 0: cannot write.*{file}.*{words}",
                      Point("write", 0, 13, error, file), within=60,
                      ci=(error, what) == ("EIO", "metrics"))
    yield Row("enospc-log", "ENOSPC on the log of rank 1", "any", 0, "LOG ERROR",
              prepare=log_on_full_device, resume=None, within=60)
    yield Row("eio-log", "EIO on the log of rank 1", "any", 0, "LOG ERROR",
              Point("write", 1, 0, "EIO", "rank-1.log"), resume=None, within=60)
    yield Row("checkpoints-removed", "folder of checkpoints removed", "inner pass", 0, None, HELD,
              checkpoints_removed, resume=None, within=60)
    yield Row("checkpoints-read-only", "folder of checkpoints read-only", "inner pass", 74,
              "gondola: .*Read-only file system", HELD, checkpoints_read_only,
              before_resume=writable_again, needs=needs_mounts)


def datasets():
    def truncate(run):
        os.truncate(run.folder / "images.h5", os.path.getsize(run.folder / "images.h5") // 4)
        run.release()

    def write_over(run):
        with open(run.folder / "images.h5", "r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"another image")
        time.sleep(1.2)  # the file's time is looked at once a second
        run.release()

    def put_back(folder):
        shutil.copy(folder.parent / "images.h5", folder / "images.h5")

    def replace(run):
        other = run.folder / "others.h5"
        shutil.copy(run.folder.parent / "others.h5", other)
        os.replace(other, run.folder / "images.h5")
        run.release()

    yield Row("dataset-truncated", "dataset truncated", "data wait", 65,
              r"gondola: .*images.h5.*was cut after it was opened", at("data wait", 1), truncate,
              before_resume=put_back)
    yield Row("dataset-written", "dataset written over", "data wait", 65,
              r"gondola: .*images.h5 was written to after it was opened", at("data wait", 1),
              write_over, before_resume=put_back, ci=True)
    yield Row("dataset-replaced", "dataset replaced by another", "data wait", 0, None,
              at("data wait", 1), replace, resume_code=65,
              resume_said="are not those that the run of checkpoint", within=60)
    yield Row("dataset-unreadable", "EIO on the dataset, rank 3", "data wait", 74,
              r"gondola: rank 3: .*images.h5.*Input/output error",
              Point("read", 3, 13, "EIO", "images.h5"))


def damaged_checkpoints():
    def newest(folder):
        return checkpoints(folder / "run")[-1] / "state.h5"

    def truncated(folder):
        os.truncate(newest(folder), os.path.getsize(newest(folder)) // 2)

    def flipped(folder):
        data = bytearray(newest(folder).read_bytes())
        data[len(data) // 2] ^= 0x10
        newest(folder).write_bytes(data)

    def empty(folder):
        newest(folder).write_bytes(b"")

    def foreign(folder):
        """That of another model, whole in itself."""
        made = gondola("train", *flags(OPTIONS, {
            "run.folder": "foreign", "trainer.steps": 1, "model.hidden": 8, "run.resume": "",
            "data.ledger": ""}), folder=folder)
        assert made.returncode == 0, made.stderr
        shutil.rmtree(newest(folder).parent)
        shutil.copytree(checkpoints(folder / "foreign")[-1], folder / "run/checkpoints/step-00000015")

    for damage in (truncated, flipped, empty):
        yield Row(f"checkpoint-{damage.__name__}", f"newest checkpoint {damage.__name__}", "resume",
                  75, "stopped on request", Point("inner", step=15),
                  stop([0], signal.SIGUSR1), before_resume=damage, resume=3,
                  resume_said="gondola: passed over: .*step-00000015")
    yield Row("checkpoint-foreign", "newest checkpoint of another model", "resume", 75,
              "stopped on request", Point("inner", step=15),
              stop([0], signal.SIGUSR1), before_resume=foreign, resume_code=64,
              resume_said="gondola: .*model.hidden")


def jobs():
    def second_job(run):
        second = gondola("train", *run.arguments, folder=run.folder)
        assert second.returncode == 69, second.stderr
        assert re.search(rf"in use by process {run.pids[0]} on ", second.stderr), second.stderr
        run.seen = second.stderr.strip()
        run.release()

    def everything(run):
        halt(run.pids.values())  # or those that see the others die end by themselves
        send(signal.SIGKILL, [run.process.pid, *run.pids.values()])

    yield Row("two-jobs", "a second job in the run folder", "inner pass", 0,
              "run folder 'run' is in use by process", HELD, second_job, resume=None, within=60)
    yield Row("stale-lock", "SIGKILL of all ranks and mpirun", "inner pass", -signal.SIGKILL, None,
              HELD, everything, leaves_segments=True)


def limits():
    def no_more_files(run):
        run.wait_for_checkpoint()
        number = len(os.listdir(f"/proc/{run.pids[0]}/fd"))
        resource.prlimit(run.pids[0], resource.RLIMIT_NOFILE, (number, number))
        run.release()

    def no_more_memory(run):
        used = int(Path(f"/proc/{run.pids[1]}/statm").read_text().split()[0])
        used *= resource.getpagesize()
        resource.prlimit(run.pids[1], resource.RLIMIT_AS, (used, used))
        run.release()

    def full_shared_memory(_):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "gondola-test", "/dev/shm"],
                       check=True)

    def as_before(_):
        subprocess.run(["umount", "--lazy", "/dev/shm"], check=True)

    yield Row("shared-memory", "/dev/shm full, data.cache = host", "any", 0,
              "not enough space for /dev/shm", prepare=full_shared_memory, clean_up=as_before,
              options={"data.cache": "host"}, resume=None, within=60, needs=needs_mounts)
    yield Row("file-descriptors", "no file descriptor left (RLIMIT_NOFILE)", "inner pass", 74,
              "gondola: .*Too many open files", HELD, no_more_files)
    # The first steps of a large model: the memory for them is not there yet.
    yield Row("memory", "no memory left in rank 1 (RLIMIT_AS)", "data wait", 70,
              "gondola: rank 1: .*memory", Point("read", 1, 1, file="images.h5"), no_more_memory,
              options={"model.hidden": 1500}, resume=None)


def file_rows():
    return [row for rows in (storage, datasets, damaged_checkpoints, jobs, limits)
            for row in rows()]
