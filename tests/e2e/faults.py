# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad images and circumstances, each with one clear error and nothing left behind; and the engine killed at random instants of dumps and restores."""
import functools
import os
import random
import shutil
import signal
import time

import driver
from driver import Case, Subject, Test, check, compare, kill_all, reap_orphans, wait_until
from snapshot import state, tree


def dumped(t, subject='threads'):
    """A subject that was dumped and killed: its image and the pids that were its."""
    s = Subject(t, subject)
    pids = tree(s.pid)
    image = t.image()
    t.dump(s.pid, image)
    t.expect_gone(pids, s.pid)
    return s, image, pids


def nothing_left(t, pids):
    def gone():
        reap_orphans()
        return not any(state(p) for p in pids)
    wait_until('nothing to be left of the restore', gone, 10)
    left = kill_all()
    check(not left, f'left behind: {left}')


def refuse(t, image, pids, what, word, *opts, env=None):
    r = t.engine('restore', '-D', image, '--detach', *opts, env=env)
    check(r.rc > 0, f'{what}: restore gave {r.rc}: {r.last()}')
    check(len([line for line in r.err.splitlines() if line.startswith('engine:')]) == 1, f'{what}: not one error: {r.err}')
    check(word in r.err, f'{what}: no "{word}" in: {r.last()}')
    nothing_left(t, pids)


def flip(path, pos, bit=1):
    with open(path, 'r+b') as f:
        f.seek(pos)
        b = f.read(1)[0]
        f.seek(pos)
        f.write(bytes([b ^ bit]))


def bad_images(t):
    s, image, pids = dumped(t)
    for name in ('manifest', 'records', 'sums', 'data'):
        path = os.path.join(image, name)
        size = os.path.getsize(path)
        rnd = random.Random(name)
        for _ in range(6):
            pos = rnd.randrange(size)
            flip(path, pos)
            refuse(t, image, pids, f'{name}: flipped bit at {pos}', '')
            flip(path, pos)
        keep = path + '.keep'
        shutil.copy2(path, keep)
        for cut in (0, 1, size // 2, size - 1):
            os.truncate(path, cut)
            refuse(t, image, pids, f'{name}: truncated to {cut}', '')
            shutil.copy2(keep, path)
        os.rename(path, keep)
        refuse(t, image, pids, f'{name}: missing', name)
        os.rename(keep, path)
    t.restore(image)
    s.finish()


def circumstances(t):
    s, image, pids = dumped(t)
    refuse(t, t.path('nowhere'), pids, 'no image', 'nowhere')
    plugins = t.path('plugins')
    shutil.copytree(os.path.join(driver.settings.build, 'plugins'), plugins, ignore=lambda d, names: [n for n in names if not n.endswith('.so') or n == 'reg.so'])
    refuse(t, image, pids, 'a plugin is missing', 'fd/reg', env={'ENGINE_PLUGIN_DIR': plugins})
    t.restore(image)
    r = t.engine('restore', '-D', image, '--detach')
    check(r.rc > 0 and 'in use' in r.err, f'pid in use: {r.rc} {r.last()}')
    r = t.engine('dump', '-t', s.pid, '-D', image)
    check(r.rc > 0, 'a dump over an image')
    r = t.engine('dump', '-t', 999999999, '-D', t.path('x'))
    check(r.rc > 0 and not os.path.exists(t.path('x')), f'no such process: {r.last()}')
    r = t.engine('dump', '-t', s.pid, '-D', '/proc/nothing/x')
    check(r.rc > 0, 'a directory that cannot be')
    s.finish()


def changed_program(t):
    exe = t.path('program')
    shutil.copy2('/bin/sleep', exe)
    pid = t.start([exe, '1000'], name='program')
    wait_until('it to sleep', lambda: state(pid) == 'S')
    image = t.image()
    t.dump(pid, image)
    t.expect_gone([pid], pid)
    os.rename(exe, exe + '.away')
    refuse(t, image, [pid], 'missing program', exe)
    shutil.copy2('/bin/true', exe)
    refuse(t, image, [pid], 'another program', 'changed')
    os.rename(exe + '.away', exe)
    t.restore(image)
    os.kill(pid, signal.SIGKILL)


def killed_dumps(t, rounds):
    s = Subject(t, 'checksum')
    before = s.settled()
    m = driver.meta('checksum')
    rnd = random.Random(7)
    for i in range(rounds):
        image = t.image()
        p = t.engine_start('dump', '-t', s.pid, '-D', image, '--leave-running', stdout=-3, stderr=-3)
        time.sleep(rnd.random() * 0.02)
        p.kill()
        p.wait()
        shutil.rmtree(image, ignore_errors=True)
        check(state(s.pid) not in (None, 'Z', 'T', 't'), f'round {i}: it is in state {state(s.pid)}')
    time.sleep(0.1)
    compare(before, s.settled(), m, f'changed by {rounds} killed dumps')
    s.finish()


def killed_restores(t, rounds):
    s, image, pids = dumped(t, subject='tree')
    rnd = random.Random(11)
    complete = 0
    for _ in range(rounds):
        p = t.engine_start('restore', '-D', image, '--detach', stdout=-3, stderr=-3)
        time.sleep(rnd.random() * 0.03)
        p.kill()
        p.wait()
        time.sleep(0.12)  # an interpreter looks for its owner every 50 ms
        reap_orphans()
        alive = [q for q in pids if state(q) not in (None, 'Z')]
        if len(alive) == len(pids):
            complete += 1
            for q in alive:
                os.kill(q, signal.SIGKILL)
            alive = []
        check(not alive, f'left behind: {alive}')
        nothing_left(t, pids)
    t.restore(image)
    s.finish()
    return f'{complete} of {rounds} had passed the commit point'


def run(func, *args):
    t = Test()
    try:
        return func(t, *args)
    finally:
        t.close()


def cases():
    if not driver.settings.engine:
        return []
    full = driver.settings.full
    return [Case('fault-images', '', functools.partial(run, bad_images), timeout=300),
            Case('fault-circumstances', '', functools.partial(run, circumstances)),
            Case('fault-program', '', functools.partial(run, changed_program)),
            Case('fault-killed-dumps', '', functools.partial(run, killed_dumps, 500 if full else 100), timeout=600),
            Case('fault-killed-restores', '', functools.partial(run, killed_restores, 200 if full else 40), timeout=600)]
