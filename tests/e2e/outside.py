# SPDX-License-Identifier: LGPL-2.1-or-later
"""A plugin with its own resource kind, built outside the tree from the installed header and pkg-config file alone; and plugins that must be refused."""
import functools
import os
import shutil
import subprocess
import sys

import driver
from driver import Case, Test, check, reap, wait_until
from snapshot import snapshot, state

PROGRAM = '''
import ctypes, os, struct, sys, time
c = ctypes.CDLL(None)
fd = c.inotify_init1(0o4000)
os.chdir(sys.argv[1])
for n in 'ab':
    open(n, 'w').close()
    c.inotify_add_watch(fd, n.encode(), 2)
c.inotify_rm_watch(fd, 1)
c.inotify_add_watch(fd, b'a', 2)
os.read(fd, 4096)
open('ready', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.01)
open('b', 'a').write('x')
open('a', 'a').write('x')
e = os.read(fd, 4096)
print([struct.unpack_from('iI', e, i) for i in range(0, len(e), 16)])
'''


def call(args, **kw):
    r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=100, **kw)
    check(r.returncode == 0, f'{args[0]} {args[1]}: {r.stdout.decode()[-600:]}')
    return r.stdout.decode()


def build(t):
    """Installs into a directory of the test, and builds the plugin there; the folder with all plugins."""
    inst = t.path('inst')
    call(['meson', 'install', '-C', driver.settings.build, '--no-rebuild', '--quiet'], env={**os.environ, 'DESTDIR': inst})
    pc = [d for d, _, files in os.walk(inst) if 'engine.pc' in files][0]
    env = {**os.environ, 'PKG_CONFIG_PATH': pc, 'PKG_CONFIG_SYSROOT_DIR': inst}
    plugins = t.path('plugins')
    source = t.path('source')
    shutil.copytree(os.path.join(driver.settings.top, 'tests/outside/inotify'), source)
    call(['meson', 'setup', t.path('b'), source], env=env)
    call(['ninja', '-C', t.path('b')], env=env)
    shutil.copytree(os.path.join(driver.settings.build, 'plugins'), plugins, ignore=lambda d, names: [n for n in names if not n.endswith('.so')])
    return plugins, os.path.join(t.path('b'), 'inotify.so')


def keeps(t):
    plugins, plugin = build(t)
    env = {'ENGINE_PLUGIN_DIR': plugins}
    d = t.path('d')
    os.mkdir(d)
    pid = t.start([sys.executable, '-c', PROGRAM, d], name='program')
    wait_until('it to be ready', lambda: os.path.exists(os.path.join(d, 'ready')) or state(pid) in (None, 'Z'))
    before = snapshot(pid)
    r = t.engine('dump', '-t', pid, '-D', t.path('image'), env=env)
    check(r.rc > 0 and 'no loaded plugin keeps' in r.err, f'without the plugin: {r.rc} {r.last()}')
    shutil.copy(plugin, plugins)
    t.dump(pid, t.path('image'), env=env)
    t.expect_gone(list(before), pid)
    r = t.engine('restore', '-D', t.path('image'), '--detach')
    check(r.rc > 0 and 'fd/inotify' in r.err, f'restore without the plugin: {r.rc} {r.last()}')
    t.restore(t.path('image'), env=env)
    with open(os.path.join(d, 'go'), 'w'):
        pass
    check(reap(pid) == 0, 'it failed')
    with open(t.path('program.out')) as f:
        text = f.read()
    check(text.strip() == '[(2, 2), (3, 2)]', f'events after the restore: {text!r}')


def twice(t):
    plugins, plugin = build(t)
    shutil.copy(plugin, plugins)
    shutil.copy(plugin, os.path.join(plugins, 'second.so'))
    d = t.path('d')
    os.mkdir(d)
    pid = t.start([sys.executable, '-c', PROGRAM, d], name='program')
    wait_until('it to be ready', lambda: os.path.exists(os.path.join(d, 'ready')))
    before = snapshot(pid)
    r = t.engine('dump', '-t', pid, '-D', t.path('image'), env={'ENGINE_PLUGIN_DIR': plugins})
    check(r.rc > 0 and 'claimed by both' in r.err, f'two claims: {r.rc} {r.last()}')
    check(not driver.diff(before, snapshot(pid)), 'changed by a refused dump')
    with open(os.path.join(plugins, 'broken.so'), 'w') as f:
        f.write('no plugin')
    r = t.engine('check', '-t', pid, env={'ENGINE_PLUGIN_DIR': plugins})
    check(r.rc > 0 and 'broken.so' in r.err, f'not a plugin: {r.rc} {r.last()}')
    with open(os.path.join(d, 'go'), 'w'):
        pass
    check(reap(pid) == 0, 'it failed')


def run(func):
    t = Test()
    try:
        func(t)
    finally:
        t.close()


def cases():
    return [Case('outside-plugin', '', functools.partial(run, keeps)), Case('outside-plugin-refused', '', functools.partial(run, twice))] \
        if driver.settings.engine else []
