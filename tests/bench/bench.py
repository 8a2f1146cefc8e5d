#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dump and restore benchmark: the engine, and beside it a peer (CRIU) when its path is given.

Every repetition starts a fresh subject (subject-*.c) in its own session, asks it once, dumps it, waits until its pids are free,
restores it, and asks again: only a subject that then proves its threads, memory, mappings or descriptors counts. The two tools take
turns, and who goes first alternates, so that drift of the machine hits both alike. Images lie on tmpfs.

The benchmark is the child subreaper of all it starts, so "everything it started" is "all its descendants": that is what it kills,
by pid, and reaps after each repetition. Nothing is ever killed by name.
"""
import argparse
import ctypes
import json
import mmap
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SRC = HERE.parent.parent
SUBJECTS = ["tiny", "memory", "threads", "maps", "processes", "fds"]
LINE = 64                       # SUBJECT_LINE
MIB = 1 << 20
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
MADV_HUGEPAGE, MADV_POPULATE_WRITE = 14, 23
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """One repetition failed; the text is what the table shows."""


class Case:
    def __init__(self, name, text, argv, processes=1, memory=None, quick=None):
        self.name, self.text, self.argv, self.processes = name, text, argv, processes
        self.memory = memory        # which memory figures go into the note: "thp", "share" or None
        self.quick = quick or argv  # smaller arguments for --quick


CASES = [
    Case("tiny", "tiny process", ["tiny"]),
    Case("mem4k", "1 GiB of 4 KiB pages", ["memory", "1024"], quick=["memory", "128"]),
    Case("memhuge", "1 GiB of huge pages", ["memory", "1024", "huge"], memory="thp", quick=["memory", "128", "huge"]),
    Case("idle", "1000 idle threads", ["threads", "1000", "idle"]),
    Case("compute", "300 computing threads", ["threads", "300", "compute"]),
    Case("maps", "10,000 mappings", ["maps", "10000"]),
    Case("processes", "100 processes", ["processes", "99"], processes=100),
    Case("fds", "900 fds", ["fds", "{work}"]),
    Case("fork", "fork tree, 256 MiB shared, 8 children", ["processes", "8", "256"], processes=9, memory="share",
         quick=["processes", "8", "32"]),
]


# --- the process table -------------------------------------------------------------------------------------------------------------

def table():
    """{pid: (ppid, state)} of the whole machine."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except OSError:
                continue
            fields = stat[stat.rindex(b")") + 2:].split()
            found[int(name)] = (int(fields[1]), fields[0])
    return found


def descendants(root):
    """All pids below root, parents before children."""
    children = {}
    for pid, (ppid, _) in table().items():
        children.setdefault(ppid, []).append(pid)
    order, todo = [], [root]
    while todo:
        below = sorted(children.get(todo.pop(0), []))
        order += below
        todo += below
    return order


def reap():
    """Collect every child that is dead already. Never called while a tool runs: its exit status would be lost."""
    try:
        while os.waitpid(-1, os.WNOHANG | 0x40000000)[0]:       # __WALL
            pass
    except ChildProcessError:
        pass


def kill_all():
    """End all that this benchmark started. A killed parent's children become ours, so repeat until none is left."""
    until = time.monotonic() + 20
    while True:
        reap()
        left = descendants(os.getpid())
        if not left:
            return
        if time.monotonic() > until:
            sys.exit(f"bench: cannot get rid of {left[:10]}")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)


def wait_gone(pids):
    """The restore needs the pids back: wait until the last of them is reaped."""
    until = time.monotonic() + 10
    while True:
        reap()
        left = [p for p in pids if os.path.exists(f"/proc/{p}")]
        if not left:
            return
        if time.monotonic() > until:
            raise Failure(f"{len(left)} of {len(pids)} processes outlive the dump")
        time.sleep(0.002)


def memory_of(pids):
    """Sums over processes, in bytes."""
    total = {"Rss": 0, "Pss": 0, "AnonHugePages": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            key, value = line.split(":")
            if key in total:
                total[key] += int(value.split()[0]) << 10
    return total


# --- subjects ----------------------------------------------------------------------------------------------------------------------

class Subject:
    def __init__(self, case, binaries, work, quick):
        self.case, self.work, self.asked = case, work, 0
        self.answers = work / "answers"
        argv = [a.format(work=work) for a in (case.quick if quick else case.argv)]
        # Opened for the child alone: the restored subject must not depend on anything the benchmark holds.
        fd = os.open(self.answers, os.O_RDWR | os.O_CREAT, 0o600)
        out = os.open(work / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open("/dev/null", os.O_RDONLY)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.chdir("/")
                high = [os.dup(f) for f in (null, out, out, fd)]
                while min(high) < 4:
                    high = [os.dup(f) for f in high]
                for n, f in enumerate(high):
                    os.dup2(f, n, inheritable=True)
                os.closerange(4, 256)
                binary = str(binaries / f"subject-{argv[0]}")
                os.execve(binary, [binary] + argv[1:], {"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
            finally:
                os._exit(127)
        for f in (fd, out, null):
            os.close(f)
        self.wait_answers("start", 120)
        self.pids = [self.pid] + descendants(self.pid)
        if len(self.pids) != case.processes:
            raise Failure(f"subject has {len(self.pids)} processes, not {case.processes}")

    def wait_answers(self, what, limit):
        until = time.monotonic() + limit
        while True:
            text = self.answers.read_bytes()
            lines = [text[n:n + LINE].strip(b"\0 \n").decode() for n in range(0, len(text), LINE)]
            given = [x for x in lines if x.split(" ")[0] == str(self.asked)]
            if len(given) == self.case.processes:
                break
            reap()
            if not os.path.exists(f"/proc/{self.pid}"):
                raise Failure(f"subject dies: {what} {(self.work / 'output').read_text()[-200:]}".strip())
            if time.monotonic() > until:
                raise Failure(f"{what}: {len(given)} of {self.case.processes} processes answer")
            time.sleep(0.001)
        bad = [x for x in given if not x.endswith(" ok")]
        if bad:
            raise Failure(f"{what}: {bad[0].split(' ', 1)[1]}")

    def ask(self, what, limit=60):
        self.asked += 1
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGUSR1)
            except ProcessLookupError:
                raise Failure(f"{what}: process {pid} is not there") from None
        self.wait_answers(what, limit)


# --- tools -------------------------------------------------------------------------------------------------------------------------

def command(argv, env, log, limit):
    """Runs argv and returns (wall in us, exit status). Output goes to files: a restored subject could hold a pipe open."""
    with open(log, "wb") as out, open(f"{log}.err", "wb") as err:
        start = time.perf_counter()
        tool = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, close_fds=False)
        # Popen.wait() with a limit sleeps up to 50 ms between looks, which is longer than most of what is measured here.
        pidfd = os.pidfd_open(tool.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            ended = poll.poll(limit * 1000)
            wall = (time.perf_counter() - start) * 1e6
        finally:
            os.close(pidfd)
        if not ended:
            tool.kill()
        status = tool.wait()
        if not ended:
            raise Failure(f"{argv[1]}: no end within {limit} s")
        return wall, status


def message(*paths, mark=None):
    """The first line with the mark (what follows it is consequence), or without a mark the last line.

    The peer's complaint about RLIMIT_NOFILE comes with successful runs too.
    """
    for path in paths:
        try:
            lines = Path(path).read_text(errors="replace").splitlines()
        except OSError:
            continue
        lines = [x.strip() for x in lines if x.strip() and (mark or "") in x and "RLIMIT_NOFILE" not in x]
        if lines:
            return lines[0 if mark else -1][:140]
    return "no message"


def ended(status):
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def ms(us):
    return f"{us / 1e3:.2f} ms" if us < 1e4 else f"{us / 1e3:.0f} ms"


def fields(data):
    """The fields of one protobuf message, {number: value}: varints as int, length-delimited as bytes; the last one counts."""
    at, found = 0, {}

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found[key >> 3] = varint()
        elif key & 7 == 2:
            size = varint()
            found[key >> 3] = data[at:at + size]
            at += size
        elif key & 7 in (1, 5):
            at += 8 if key & 7 == 1 else 4
        else:
            raise ValueError(f"wire type {key & 7}")
    return found


class Engine:
    name = "engine"

    def __init__(self, path, dump_args, restore_args):
        self.path, self.dump_args, self.restore_args = path, dump_args, restore_args
        self.env = dict(os.environ)
        build = Path(path).resolve().parents[2] if len(Path(path).resolve().parents) > 2 else None
        if build and (build / "plugins").is_dir() and (build / "build.ninja").exists():
            self.env.setdefault("ENGINE_PLUGIN_DIR", str(build / "plugins"))
            self.env.setdefault("ENGINE_CONF_DIR", str(SRC / "conf"))

    def call(self, what, argv, images, limit):
        log = images.parent / f"{what}.log"
        wall, status = command([self.path] + argv, self.env, log, limit)
        if status != 0:
            raise Failure(f"{what}: {message(f'{log}.err', log)}; {ended(status)} after {ms(wall)}")
        try:
            said = json.loads(log.read_text())
        except ValueError as e:
            raise Failure(f"{what}: output is not one JSON object: {e}") from None
        return wall, said

    def dump(self, pid, images, limit):
        wall, said = self.call("dump", ["dump", "-t", str(pid), "-D", str(images), "--json"] + self.dump_args, images, limit)
        return {"frozen": said["frozen_us"], "dump": wall, "dump_own": said.get("total_us")}

    def restore(self, images, limit):
        wall, said = self.call("restore", ["restore", "-D", str(images), "--detach", "--json"] + self.restore_args, images, limit)
        return {"restore": wall, "restore_own": said.get("total_us")}


class Peer:
    name = "peer"

    def __init__(self, path, dump_args):
        self.path, self.dump_args = path, dump_args

    def call(self, what, argv, images, limit):
        log = images.parent / f"{what}.out"
        wall, status = command([self.path] + argv + ["-D", str(images), "-o", f"{what}.log", "-v1"], None, log, limit)
        if status != 0:
            raise Failure(f"{what}: {message(images / f'{what}.log', f'{log}.err', mark='Error')}; {ended(status)} after {ms(wall)}")
        return wall

    @staticmethod
    def stats(images, what, entry):
        """stats-dump and stats-restore: two magics, a size, one message with the dump's figures in field 1, the restore's in 2."""
        data = (images / f"stats-{what}").read_bytes()
        size = int.from_bytes(data[8:12], "little")
        return fields(fields(data[12:12 + size])[entry])

    def dump(self, pid, images, limit):
        wall = self.call("dump", ["dump", "-t", str(pid)] + self.dump_args, images, limit)
        stats = self.stats(images, "dump", 1)
        # frozen_time begins when the last task has stopped and freezing_time ends there; a task stopped early feels both.
        freezing, frozen = stats.get(1, 0), stats[2]
        return {"frozen": freezing + frozen, "dump": wall, "freezing": freezing, "memdump": stats.get(3, 0),
                "memwrite": stats.get(4, 0)}

    def restore(self, images, limit):
        wall = self.call("restore", ["restore", "-d"], images, limit)
        return {"restore": wall, "restore_own": self.stats(images, "restore", 2).get(4)}


# --- one repetition ----------------------------------------------------------------------------------------------------------------

def image_bytes(images):
    """What the images occupy: holes do not count, logs and statistics neither."""
    total = 0
    for path in images.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".log" and not path.name.startswith("stats-"):
            st = path.stat()
            total += min(st.st_size, st.st_blocks * 512)
    return total


def repetition(tool, case, o):
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=o.images))
    images = work / "images"
    images.mkdir()
    try:
        subject = Subject(case, o.binaries, work, o.quick)
        subject.ask("before the dump")
        before = memory_of(subject.pids) if case.memory else None
        if case.memory == "thp" and before["AnonHugePages"] < 64 * MIB:
            raise Failure("the machine gives no huge pages")
        sample = tool.dump(subject.pid, images, o.timeout)
        wait_gone(subject.pids)
        sample["bytes"] = image_bytes(images)
        start = time.perf_counter()
        sample.update(tool.restore(images, o.timeout))
        after = memory_of(subject.pids) if case.memory else None
        try:
            subject.ask("after the restore")
        except Failure as e:
            raise Failure(f"restored subject is wrong: {e}") from None
        sample["answer"] = (time.perf_counter() - start) * 1e6
        if case.memory:
            sample["before"], sample["after"] = before, after
            sample["answered"] = memory_of(subject.pids)        # a lazy restore is complete only now
        return sample
    finally:
        kill_all()
        if not o.keep:
            shutil.rmtree(work, ignore_errors=True)


def run_case(case, tools, o):
    samples = {t.name: [] for t in tools}
    failures = {t.name: [] for t in tools}
    for rep in range(o.reps):
        for tool in tools if rep % 2 == 0 else tools[::-1]:
            if len(failures[tool.name]) >= 2:           # it can fail slowly; twice is enough to know
                continue
            try:
                sample = repetition(tool, case, o)
            except Failure as e:
                failures[tool.name].append(str(e))
                print(f"  {case.name} {rep + 1}/{o.reps} {tool.name}: fails: {e}", file=sys.stderr, flush=True)
                continue
            samples[tool.name].append(sample)
            print(f"  {case.name} {rep + 1}/{o.reps} {tool.name}: frozen {sample['frozen'] / 1e3:.2f}  dump "
                  f"{sample['dump'] / 1e3:.1f}  restore {sample['restore'] / 1e3:.1f} ms", file=sys.stderr, flush=True)
    result = {"case": case.name, "text": case.text, "reps": o.reps, "quick": o.quick}
    for name in samples:
        result[name] = {"samples": samples[name], "failures": failures[name], "median": medians(samples[name])}
    return result


def medians(samples):
    result = {}
    for key in samples[0] if samples else []:
        if isinstance(samples[0][key], dict):
            result[key] = {k: statistics.median(s[key][k] for s in samples) for k in samples[0][key]}
        elif samples[0][key] is not None:
            result[key] = statistics.median(s[key] for s in samples)
    return result


# --- the table ---------------------------------------------------------------------------------------------------------------------

def cell(result, name, key):
    if name not in result:
        return "-"
    mine = result[name]
    if not mine["samples"]:
        return "fails" if mine["failures"] else "-"
    text = ms(mine["median"][key])
    if mine["failures"]:
        text += f" ({len(mine['failures'])} failed)"
    return text


def ratio(result, key):
    both = [result.get(n, {}).get("median", {}).get(key) for n in ("engine", "peer")]
    return f"{both[1] / both[0]:.1f}x" if all(both) else "-"


def note(result, case):
    parts = []
    for name in ("engine", "peer"):
        mine = result.get(name)
        if not mine:
            continue
        if mine["failures"]:
            parts.append(f"{name} fails: {mine['failures'][-1]}")
        m = mine["median"]
        if not m:
            continue
        text = f"{name}: image {m['bytes'] / MIB:.1f} MiB, verified at {ms(m['answer'])}"
        if case.memory == "thp":
            text += (f", huge pages {m['before']['AnonHugePages'] / MIB:.0f} -> {m['after']['AnonHugePages'] / MIB:.0f} MiB"
                     f" (verified: {m['answered']['AnonHugePages'] / MIB:.0f})")
        elif case.memory == "share":
            text += (f", Pss sum {m['before']['Pss'] / MIB:.0f} -> {m['after']['Pss'] / MIB:.0f}"
                     f" (verified: {m['answered']['Pss'] / MIB:.0f}) MiB, Rss sum {m['before']['Rss'] / MIB:.0f} -> "
                     f"{m['after']['Rss'] / MIB:.0f} (verified: {m['answered']['Rss'] / MIB:.0f}) MiB")
        parts.append(text)
    return " // ".join(parts)


COLUMNS = ["case", "engine frozen", "peer frozen", "ratio", "engine dump wall", "peer dump wall", "ratio",
           "engine restore wall", "peer restore wall", "ratio", "note"]


def row(result, case):
    cells = [case.text + (" (quick)" if result["quick"] else "")]
    for key in ("frozen", "dump", "restore"):
        cells += [cell(result, "engine", key), cell(result, "peer", key), ratio(result, key)]
    return cells + [note(result, case)]


def show(rows, markdown):
    if markdown:
        print("| " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * len(COLUMNS))
        for r in rows:
            print("| " + " | ".join(c.replace("|", "\\|") for c in r) + " |")
        return
    width = [max(len(r[n]) for r in [COLUMNS] + rows) for n in range(len(COLUMNS) - 1)]
    for r in [COLUMNS] + rows:
        print("  ".join(c.ljust(w) for c, w in zip(r, width)) + "  " + (r[-1] if r is COLUMNS else ""))
        if r is not COLUMNS:
            for part in r[-1].split(" // "):
                print(f"    {part}")


# --- preparation -------------------------------------------------------------------------------------------------------------------

def meminfo(key):
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) << 10
    return 0


def touch_memory(reserve):
    """Memory that a hypervisor never backed faults many times slower. Touch it once, in a child, and give it back."""
    size = (meminfo("MemAvailable") - reserve) // (2 * MIB) * (2 * MIB)
    if size <= 0:
        return
    print(f"bench: touching {size / 2**30:.1f} GiB of memory once", file=sys.stderr, flush=True)
    pid = os.fork()
    if pid == 0:
        try:
            m = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            m.madvise(MADV_HUGEPAGE)
            step = 64 * MIB
            for at in range(0, size, step):
                part = min(step, size - at)
                try:
                    m.madvise(MADV_POPULATE_WRITE, at, part)
                except OSError:                         # before Linux 5.14
                    for page in range(at, at + part, 4096):
                        m[page] = 1
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def private_run():
    """The peer caches what it probed of the kernel in /run, but only if that is a tmpfs. Where it is not, give this benchmark one."""
    line = [x.split() for x in Path("/proc/self/mounts").read_text().splitlines()]
    if any(x[1] == "/run" and x[2] == "tmpfs" for x in line):
        return
    for r in (libc.unshare(CLONE_NEWNS), libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
              libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755")):
        if r < 0:
            sys.exit(f"bench: cannot mount a private /run: {os.strerror(ctypes.get_errno())}")


def find_subjects(given, engine):
    """The built subjects, else compile them here and now; the second result is a directory to remove."""
    places = [Path(given)] if given else []
    if engine:
        places += [p / "tests" / "bench" for p in Path(engine).resolve().parents]
    places.append(SRC / "build" / "tests" / "bench")
    for place in places:
        if all((place / f"subject-{s}").exists() for s in SUBJECTS):
            return place, None
    if given:
        sys.exit(f"bench: {given} holds not all of the subjects")
    made = Path(tempfile.mkdtemp(prefix="bench-subjects-"))
    for s in SUBJECTS:
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", made / f"subject-{s}",
                        HERE / f"subject-{s}.c", HERE / "subject.c", "-pthread"], check=True)
    return made, made


def options():
    p = argparse.ArgumentParser(description="Dump and restore benchmark; see README.md beside it.")
    p.add_argument("--engine", metavar="PATH", default=str(SRC / "build/core/cli/engine"), help="engine binary (default: %(default)s)")
    p.add_argument("--peer", metavar="PATH", help="criu binary to compare with")
    p.add_argument("--peer-setup", metavar="SCRIPT", help="script that puts a criu into the directory it is given")
    p.add_argument("--peer-only", action="store_true", help="measure the peer alone")
    p.add_argument("--only", metavar="CASE", action="append", help="only this case; may be repeated: " + ", ".join(c.name for c in CASES))
    p.add_argument("--reps", type=int, metavar="N", help="repetitions of each case (default: 7)")
    p.add_argument("--quick", action="store_true", help="smaller memory, 2 repetitions, no pre-touch: does everything work?")
    p.add_argument("--markdown", action="store_true", help="print the table as markdown")
    p.add_argument("--json", action="store_true", help="print all samples as one JSON object")
    p.add_argument("--dump-arg", metavar="ARG", action="append", default=[], help="further argument of engine dump (--dump-arg=--x)")
    p.add_argument("--restore-arg", metavar="ARG", action="append", default=[], help="further argument of engine restore")
    p.add_argument("--peer-dump-arg", metavar="ARG", action="append", default=[], help="further argument of the peer's dump")
    p.add_argument("--subjects", metavar="DIR", help="built subjects (default: the build's, else compiled on the fly)")
    p.add_argument("--images", metavar="DIR", default="/dev/shm", help="tmpfs for the images (default: %(default)s)")
    p.add_argument("--reserve", type=int, metavar="MIB", default=1024, help="memory that the pre-touch leaves alone (default: %(default)s)")
    p.add_argument("--no-touch", action="store_true", help="do not pre-touch the memory")
    p.add_argument("--keep-run", action="store_true", help="leave /run as it is even if the peer cannot cache in it")
    p.add_argument("--timeout", type=int, metavar="S", default=120, help="limit for one dump or restore (default: %(default)s)")
    p.add_argument("--keep", action="store_true", help="keep images and logs")
    o = p.parse_args()
    o.reps = o.reps or (2 if o.quick else 7)
    unknown = set(o.only or []) - {c.name for c in CASES}
    if unknown:
        p.error("no such case: " + ", ".join(sorted(unknown)))
    if o.peer_only and not (o.peer or o.peer_setup):
        p.error("--peer-only needs --peer or --peer-setup")
    if not o.peer_only and not os.access(o.engine, os.X_OK):
        p.error(f"no engine at {o.engine}: build it, or give --engine")
    return o


def warm_up(tools, o):
    """One unmeasured round each: page cache, and the peer's cache of what it probed."""
    for tool in tools:
        try:
            repetition(tool, CASES[0], o)
        except Failure as e:
            print(f"bench: warm-up of {tool.name} fails: {e}", file=sys.stderr)


def main():
    o = options()
    if os.getuid() != 0:
        sys.exit("bench: needs root")
    made = setup_dir = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if o.peer_setup and not o.peer:
            setup_dir = tempfile.mkdtemp(prefix="bench-peer-")
            subprocess.run(["sh", o.peer_setup, setup_dir], check=True, stdout=sys.stderr)
            o.peer = f"{setup_dir}/criu"
        o.binaries, made = find_subjects(o.subjects, None if o.peer_only else o.engine)
        tools = [] if o.peer_only else [Engine(o.engine, o.dump_arg, o.restore_arg)]
        tools += [Peer(o.peer, o.peer_dump_arg)] if o.peer else []
        if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
            sys.exit("bench: cannot become a subreaper")
        if o.peer and not o.keep_run:
            private_run()
        if not o.no_touch and not o.quick:
            touch_memory(o.reserve * MIB)
        warm_up(tools, o)
        results, rows = [], []
        for case in CASES:
            if not o.only or case.name in o.only:
                results.append(run_case(case, tools, o))
                rows.append(row(results[-1], case))
        if o.json:
            uname = os.uname()
            json.dump({"kernel": uname.release, "machine": uname.machine, "cpus": os.cpu_count(), "memory": meminfo("MemTotal"),
                       "reps": o.reps, "quick": o.quick, "unit": "us", "cases": results}, sys.stdout, indent=1)
            print()
        else:
            show(rows, o.markdown)
        return 0 if all(r.get("engine", {}).get("samples", True) for r in results) else 1
    finally:
        kill_all()
        for path in (made, setup_dir):
            if path:
                shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
