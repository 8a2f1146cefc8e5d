# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts subjects, dumps and restores them, and watches that nothing is left behind.

Each test runs in a process of its own that is a child subreaper: whatever a test or the engine leaves behind becomes its child, so that it
can be found, reported and killed. A test kills only its own descendants. Everything it starts carries a marker in its environment, by which the
scheduler finds the remains of a test that had to be ended for exceeding its time.
"""
import ctypes
import fcntl
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from snapshot import children, diff, link, read, snapshot, start_time, state, tree

PR_SET_CHILD_SUBREAPER = 36
MARK = 'E2E_TEST_ID'
libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(cond, why):
    if not cond:
        raise Failed(why)


class Settings:
    """Where things are and what was asked for; made once by the command line."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.path.join(top, 'build')
    engine = True
    full = False
    inner = False
    keep = False


settings = Settings()


def become_subreaper():
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), 'PR_SET_CHILD_SUBREAPER')


def base_env(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith('ENGINE_')}
    env['ENGINE_PLUGIN_DIR'] = os.path.join(settings.build, 'plugins')
    env['ENGINE_CONF_DIR'] = os.path.join(settings.top, 'conf')
    env.update(extra or {})
    return env


def wait_until(what, cond, timeout=15.0):
    end = time.monotonic() + timeout
    pause = 0.002
    while True:
        r = cond()
        if r:
            return r
        if time.monotonic() > end:
            raise Failed(f'timed out after {timeout:g}s: {what}')
        time.sleep(pause)
        pause = min(pause * 1.3, 0.02)


def reap(pid, timeout=15.0):
    """Waits for a child of ours; the wait status."""
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            got, st = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            raise Failed(f'{pid} is not our child') from None
        if got:
            return st
        if time.monotonic() > end:
            raise Failed(f'{pid} did not end within {timeout:g}s (state {state(pid)})')
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def reap_orphans(known=()):
    """Collects dead children that nobody waits for by name."""
    for c in children(os.getpid()):
        if c not in known and state(c) == 'Z':
            try:
                os.waitpid(c, os.WNOHANG)
            except ChildProcessError:
                pass


def describe(pid):
    cmd = (read(f'/proc/{pid}/cmdline') or '').replace('\0', ' ').strip()
    return f'{pid} ({state(pid)}, {cmd or (read(f"/proc/{pid}/comm") or "?").strip()})'


def kill_all(known=()):
    """Ends every descendant of this process except those known, and says which there were."""
    found = []
    for _ in range(50):
        reap_orphans(known)
        alive = [p for p in tree(os.getpid())[1:] if p not in known and state(p) not in (None, 'Z')]
        if not alive:
            break
        for p in alive:
            if p not in [f[0] for f in found]:
                found.append((p, describe(p)))
            try:
                os.kill(p, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)
    reap_orphans(known)
    return [f[1] for f in found]


def tmp_base():
    return os.environ.get('E2E_TMP') or ('/dev/shm' if os.access('/dev/shm', os.W_OK) else '/tmp')


class Result:
    """What one run of the engine said."""

    def __init__(self, rc, out, err, seconds):
        self.rc, self.out, self.err, self.seconds = rc, out, err, seconds

    def text(self):
        return (self.err + self.out).strip()

    def last(self):
        return ' | '.join(self.text().splitlines()[-6:])[-700:]


class Test:
    """One test: its temporary directory, its engine runs and its clean-up."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='e2e-', dir=tmp_base())
        os.chmod(self.dir, 0o755)
        self.known = set()
        self.images = 0

    def close(self):
        left = kill_all()
        if not settings.keep:
            subprocess.run(['chattr', '-R', '-i', self.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False) \
                if os.path.exists(os.path.join(self.dir, '.immutable')) else None
            shutil.rmtree(self.dir, ignore_errors=True)
        return left

    def path(self, name):
        return os.path.join(self.dir, name)

    def image(self):
        self.images += 1
        return self.path(f'image{self.images}')

    def engine_start(self, *args, env=None, **kw):
        exe = os.path.join(settings.build, 'core/cli/engine')
        return subprocess.Popen([exe, *map(str, args)], env=base_env(env), stdin=subprocess.DEVNULL, cwd='/', **kw)

    def engine(self, *args, env=None, timeout=60, **kw):
        with open(self.path('engine.out'), 'w+') as out, open(self.path('engine.err'), 'w+') as err:
            t = time.monotonic()
            p = self.engine_start(*args, env=env, stdout=out, stderr=err, **kw)
            try:
                rc = p.wait(timeout)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                rc = -1
            t = time.monotonic() - t
            out.seek(0)
            err.seek(0)
            r = Result(rc, out.read(), err.read(), t)
        if rc == -1:
            raise Failed(f'engine {args[0]} hung for {timeout}s: {r.last()}')
        return r

    def dump(self, pid, image, *opts, **kw):
        r = self.engine('dump', '-t', pid, '-D', image, *opts, **kw)
        check(r.rc == 0, f'dump failed ({r.rc}): {r.last()}')
        return r

    def restore(self, image, *opts, **kw):
        r = self.engine('restore', '-D', image, '--detach', *opts, **kw)
        check(r.rc == 0, f'restore failed ({r.rc}): {r.last()}')
        return r

    def expect_gone(self, pids, root):
        """After a dump that kills: the tree is dead, and its pids are free again."""
        reap(root)

        def gone():
            reap_orphans()
            return not any(state(p) for p in pids)
        wait_until(f'the dumped tree {pids} to go', gone)

    def start(self, argv, cwd=None, env=None, name='subject', umask=0o022):
        """Starts a program the way every test does: a session of its own, no terminal, output in files."""
        out, err = (open(self.path(f'{name}.{e}'), 'ab', buffering=0) for e in ('out', 'err'))
        with out, err:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, cwd=cwd or '/',
                                 env=base_env(env), umask=umask)
        p.returncode = 0  # Waiting is ours: after a restore the same pid is another child.
        return p.pid


class Subject:
    """A program of tests/subjects, from its start to its verdict."""

    def __init__(self, test, name):
        self.test, self.name = test, name
        self.dir = test.path(name)
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o777)
        self.pid = test.start([os.path.join(settings.build, 'tests/subjects', name), self.dir], cwd=self.dir, name=name)
        wait_until(f'{name} to be ready', self._is_ready, 30)

    def _is_ready(self):
        if os.path.exists(self.file('ready')):
            return True
        if state(self.pid) in (None, 'Z'):
            st = reap(self.pid)
            if os.WIFEXITED(st) and os.WEXITSTATUS(st) == 77:
                raise Skipped((read(self.file('skip')) or '?').strip())
            raise Failed(f'set-up ended with status 0x{st:x}: {(read(self.file("result")) or "").strip()}')
        return False

    def file(self, name):
        return os.path.join(self.dir, name)

    def snapshot(self):
        return snapshot(self.pid)

    def settled(self):
        """The first snapshot: threads that have just been created still change their signal masks."""
        now = self.snapshot()
        for _ in range(25):
            time.sleep(0.02)
            last, now = now, self.snapshot()
            if not diff(last, now):
                break
        return now

    def finish(self, reaper=True, timeout=30):
        """Tells the subject to go on and takes its verdict."""
        with open(self.file('go'), 'w'):
            pass
        wait_until(f'{self.name} to say its result', lambda: os.path.exists(self.file('result')) or state(self.pid) in (None, 'Z'), timeout)
        st = reap(self.pid, timeout) if reaper else 0
        text = (read(self.file('result')) or '').strip()
        check(text, f'it ended with status 0x{st:x} and without a result; failures: {(read(self.file("failures")) or "none").strip()}')
        check(text == 'ok', text.replace('\n', '; '))
        check(st == 0, f'result ok, yet status 0x{st:x}')


def meta(name):
    """The `e2e:` lines of a subject: `modes LIST`, `refuse REGEX` (must be refused), `maybe` (kept or refused), `ignore KEYS` (of the comparison)."""
    out = {}
    text = read(os.path.join(settings.top, 'tests/subjects', name + '.c')) or ''
    for m in re.finditer(r'e2e: (\w+)[ \t]*([^\n]*?)(?: \*/)?\n', text[:4000]):
        out[m[1]] = m[2].strip()
    return out


def subjects():
    d = os.path.join(settings.top, 'tests/subjects')
    names = sorted(f[:-2] for f in os.listdir(d) if f.endswith('.c'))
    return [n for n in names if not n.endswith('-x86') or os.uname().machine == 'x86_64']


# The modes in which every subject is run.

def compare(before, after, m, what):
    d = diff(before, after, ignore=m.get('ignore', '').split())
    check(not d, f'{what}: ' + '; '.join(d[:6]))


def refused(t, s, m, before, image):
    """For what may be refused: whether it was, by an orderly check that changes nothing."""
    if 'maybe' not in m:
        return
    r = t.engine('check', '-t', s.pid)
    if r.rc == 0:
        return
    r2 = t.engine('dump', '-t', s.pid, '-D', image)
    check(r.rc > 0 and r2.rc > 0, f'check gave {r.rc}, dump {r2.rc}')
    compare(before, s.snapshot(), m, 'changed by a refused dump')
    s.finish()
    raise Skipped(f'refused: {r.last()}')


def dump_restore(t, s, m, opts=()):
    before = s.settled()
    image = t.image()
    refused(t, s, m, before, image)
    t.dump(s.pid, image, *opts)
    t.expect_gone(list(before), s.pid)
    check(os.path.exists(os.path.join(image, 'manifest')), 'the image has no manifest')
    pidfile = image + '.pid'
    t.restore(image, '--pidfile', pidfile)
    check((read(pidfile) or '').strip() == str(s.pid), f'pidfile holds {read(pidfile)!r} instead of {s.pid}')
    check(state(s.pid) not in (None, 'Z'), 'the restored process is not there')
    compare(before, s.snapshot(), m, 'changed by dump and restore')


def mode_plain(t, s, m):
    dump_restore(t, s, m)
    s.finish()


def mode_thrice(t, s, m):
    for _ in range(3):
        dump_restore(t, s, m)
    s.finish()


def mode_running(t, s, m):
    before = s.settled()
    refused(t, s, m, before, t.image())
    r = t.engine('check', '-t', s.pid)
    check(r.rc == 0, f'check failed ({r.rc}): {r.last()}')
    compare(before, s.snapshot(), m, 'changed by check')
    t.dump(s.pid, t.image(), '--leave-running')
    compare(before, s.snapshot(), m, 'changed by a dump that leaves it running')
    s.finish()


def mode_load(t, s, m):
    burners = []
    for _ in range(os.cpu_count() or 1):
        pid = os.fork()
        if pid == 0:
            while True:
                pass
        burners.append(pid)
    try:
        mode_plain(t, s, m)
    finally:
        for b in burners:
            os.kill(b, signal.SIGKILL)
            os.waitpid(b, 0)


def mode_stopped(t, s, m):
    for p in tree(s.pid):
        os.kill(p, signal.SIGSTOP)
    wait_until('it to stop', lambda: all(state(p) == 'T' for p in tree(s.pid)))
    dump_restore(t, s, m)
    check(state(s.pid) == 'T', f'state {state(s.pid)} instead of stopped')
    for p in tree(s.pid):
        os.kill(p, signal.SIGCONT)
    s.finish()


def mode_leave_stopped(t, s, m):
    before = s.settled()
    t.dump(s.pid, t.image(), '--leave-stopped')
    wait_until('it to stand still', lambda: all(state(p) == 'T' for p in tree(s.pid)))
    for p in tree(s.pid):
        os.kill(p, signal.SIGCONT)
    wait_until('it to run', lambda: state(s.pid) != 'T')
    compare(before, s.snapshot(), m, 'changed by a dump that leaves it stopped')
    s.finish()


def mode_foreground(t, s, m):
    image = t.image()
    pids = tree(s.pid)
    t.dump(s.pid, image)
    t.expect_gone(pids, s.pid)
    p = t.engine_start('restore', '-D', image, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until('the restored process', lambda: state(s.pid) or p.poll() is not None)
    check(p.poll() is None, f'restore ended early with {p.returncode}')
    s.finish(reaper=False)
    try:
        _, err = p.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        raise Failed('restore in the foreground did not end with its tree') from None
    check(p.returncode == 0, f'restore in the foreground: {p.returncode}, {err.decode()[-300:]}')


def mode_json(t, s, m):
    image = t.image()
    pids = tree(s.pid)
    r = t.dump(s.pid, image, '--json')
    t.expect_gone(pids, s.pid)
    for what, r in (('dump', r), ('restore', t.restore(image, '--json'))):
        try:
            json.loads(r.out)
        except ValueError as e:
            raise Failed(f'{what} --json: {e}: {r.out[:200]!r}') from None
    s.finish()


def mode_refuse(t, s, m):
    """The subject holds what cannot be saved: one clear error, and nothing has changed."""
    before = s.settled()
    want = m['refuse'].replace('PID', str(s.pid))
    image = t.image()
    for args in (('check', '-t', s.pid), ('dump', '-t', s.pid, '-D', image), ('dump', '-t', s.pid, '-D', image, '--leave-running')):
        r = t.engine(*args)
        check(r.rc != 0, f'{args[0]} did not refuse')
        check(r.rc > 0, f'{args[0]} died: signal {-r.rc}')
        check(re.search(want, r.text()), f'{args[0]}: no /{want}/ in: {r.last()}')
        check(not os.path.exists(os.path.join(image, 'manifest')), 'a refused dump left an image')
        compare(before, s.snapshot(), m, f'changed by a refused {args[0]}')
    s.finish()


def mode_noop(t, s, m):
    """Without an engine: the subject alone, to know that a failure is the engine's."""
    s.finish()


MODES = {'plain': mode_plain, 'running': mode_running, 'thrice': mode_thrice, 'ns': mode_plain, 'load': mode_load, 'stopped': mode_stopped,
         'leave-stopped': mode_leave_stopped, 'foreground': mode_foreground, 'json': mode_json, 'refuse': mode_refuse, 'noop': mode_noop}
EVERY = ['plain', 'running', 'thrice', 'ns', 'load']


def modes_of(name):
    if not settings.engine:
        return ['noop', 'noop-ns']
    m = meta(name)
    if 'refuse' in m:
        return ['refuse']
    out = []
    for w in m.get('modes', 'all').split():
        out += EVERY if w == 'all' else [x for x in [w] if x in MODES]
        if w.startswith('-'):
            out = [x for x in out if x != w[1:]]
    return out


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack('16sH14x', b'lo', 0x1 | 0x40))  # SIOCSIFFLAGS: up, running


def run_subject(name, mode):
    if mode in ('ns', 'noop-ns') and not settings.inner:
        return in_namespaces(name, mode)
    t = Test()
    try:
        s = Subject(t, name)
        MODES['noop' if mode == 'noop-ns' else mode](t, s, meta(name))
        reap_orphans()
        left = [describe(p) for p in tree(os.getpid())[1:]]
        check(not left, f'left behind: {", ".join(left)}')
    finally:
        t.close()
    return None


def in_namespaces(name, mode):
    """The whole test, engine included, inside new pid, mount and network namespaces."""
    argv = ['unshare', '-pfmn', '--mount-proc', '--kill-child', sys.executable, os.path.join(settings.top, 'tests/e2e/run.py'), '--build', settings.build,
            '--inner', f'{name}:{mode}']
    if not settings.engine:
        argv.append('--no-engine')
    if settings.full:
        argv.append('--full')
    if settings.keep:
        argv.append('--keep')
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=110, check=False)
    text = r.stdout.strip()
    if r.returncode == 77:
        raise Skipped(text)
    check(r.returncode == 0, text or f'ended with {r.returncode}')
    return None


# The scheduler.

class Case:
    def __init__(self, name, mode, func, timeout=120, alone=False):
        self.name, self.mode, self.func, self.timeout, self.alone = name, mode, func, timeout, alone

    def __str__(self):
        return f'{self.name} [{self.mode}]' if self.mode else self.name


def run_case(func, write):
    """Body of the process of one test; never returns."""
    try:
        become_subreaper()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        note = func()
        out = ('ok', note or '')
    except Skipped as e:
        out = ('skip', str(e))
    except Failed as e:
        out = ('not ok', str(e))
    except BaseException as e:  # pylint: disable=broad-except
        out = ('not ok', ''.join(traceback.format_exception_only(type(e), e)).strip() + ' at ' +
               '; '.join(f'{f.name}:{f.lineno}' for f in traceback.extract_tb(e.__traceback__)[-3:]))
    try:
        kill_all()
        os.write(write, json.dumps(out).encode())
    finally:
        os._exit(0)


def kill_marked(marker):
    """The remains of a test that was ended: all that carries its marker."""
    needle = f'{MARK}={marker}'.encode()
    for p in filter(str.isdigit, os.listdir('/proc')):
        if int(p) != os.getpid() and needle in (read(f'/proc/{p}/environ', 'rb') or b'').split(b'\0'):
            try:
                os.kill(int(p), signal.SIGKILL)
            except ProcessLookupError:
                pass


class Scheduler:
    def __init__(self, jobs):
        self.jobs = jobs
        self.running = {}
        self.count = {'ok': 0, 'not ok': 0, 'skip': 0}
        self.failures = []

    def report(self, case, kind, text, seconds):
        self.count[kind] += 1
        text = ' '.join(text.split())
        if kind == 'ok':
            print(f'ok {case} {seconds:.2f}s{" " + text if text else ""}', flush=True)
        else:
            print(f'{kind} {case}: {text}', flush=True)
        if kind == 'not ok':
            self.failures.append(str(case))

    def start(self, case):
        r, w = os.pipe()
        marker = f'{os.getpid()}-{random.getrandbits(64):x}'
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(r)
            for other in self.running.values():
                os.close(other[1])
            os.setpgid(0, 0)
            os.environ[MARK] = marker
            run_case(case.func, w)
        os.close(w)
        self.running[pid] = (case, r, time.monotonic(), marker)

    def finish(self, pid, kind=None, text=''):
        case, r, t0, marker = self.running.pop(pid)
        data = b''
        while kind is None:
            more = os.read(r, 65536)
            if not more:
                break
            data += more
        os.close(r)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
        if kind is None:
            try:
                kind, text = json.loads(data)
            except ValueError:
                kind, text = 'not ok', 'the test process died'
                kill_marked(marker)
        self.report(case, kind, text, time.monotonic() - t0)

    def step(self):
        fds = {v[1]: k for k, v in self.running.items()}
        ready, _, _ = select.select(list(fds), [], [], 0.5)
        for fd in ready:
            self.finish(fds[fd])
        for pid, (case, _, t0, marker) in list(self.running.items()):
            if time.monotonic() - t0 > case.timeout:
                for p in reversed(tree(pid)):
                    try:
                        os.kill(p, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                kill_marked(marker)
                self.finish(pid, 'not ok', f'did not end within {case.timeout}s')
        reap_orphans(set(self.running))

    def run(self, cases):
        become_subreaper()
        todo = [c for c in cases if not c.alone] + [c for c in cases if c.alone]
        for case in todo:
            while len(self.running) >= (1 if case.alone else self.jobs) or (self.running and next(iter(self.running.values()))[0].alone):
                self.step()
            self.start(case)
        while self.running:
            self.step()
        return self.count
