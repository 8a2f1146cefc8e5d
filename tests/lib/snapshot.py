# SPDX-License-Identifier: LGPL-2.1-or-later
"""What /proc tells about a tree of processes, as nested dictionaries that can be compared.

The same comparison serves two ends: a restored tree must look like the saved one, and after a dump that failed, or that left its target
running, the target must look as before. Values that change by themselves (CPU times, resident sizes, remaining timer values) are left out;
names that the kernel invents (inode numbers of pipes and sockets) are replaced by the order of their first appearance, which keeps what
matters: who shares an object with whom.
"""
import os
import re

STATUS_KEYS = (
    'Name Umask Tgid Pid PPid TracerPid Uid Gid Groups NStgid NSpid NSpgid NSsid Threads SigPnd ShdPnd SigBlk SigIgn SigCgt CapInh CapPrm CapEff '
    'CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters Speculation_Store_Bypass SpeculationIndirectBranch Cpus_allowed Mems_allowed_list '
    'THP_enabled Kthread VmLck').split()
# Numbers as in proc(5), counted from 1.
STAT_FIELDS = {'pgrp': 5, 'session': 6, 'tty': 7, 'nice': 19, 'startcode': 26, 'endcode': 27, 'startstack': 28, 'exit_signal': 38,
               'rt_priority': 40, 'policy': 41, 'start_data': 45, 'end_data': 46, 'start_brk': 47, 'arg_start': 48, 'arg_end': 49,
               'env_start': 50, 'env_end': 51}
# Flags of a mapping that say what happened to it, not what it is: accountable (set by a write permission of the past), soft-dirty.
VOLATILE_VMFLAGS = {'ac', 'sd', '??'}


def read(path, mode='r'):
    try:
        with open(path, mode, errors=None if 'b' in mode else 'replace') as f:
            return f.read()
    except OSError:
        return None


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def status(pid):
    return dict(l.split(':\t', 1) if ':\t' in l else (l, '') for l in (read(f'/proc/{pid}/status') or '').splitlines())


def state(pid):
    """One letter, or None if there is no such task."""
    s = read(f'/proc/{pid}/stat')
    return s[s.rindex(')') + 2] if s else None


def children(pid):
    out = []
    try:
        for tid in os.listdir(f'/proc/{pid}/task'):
            out += [int(c) for c in (read(f'/proc/{pid}/task/{tid}/children') or '').split()]
    except OSError:
        pass
    return sorted(out)


def tree(pid):
    """The process and its descendants, parents first."""
    out = [pid]
    for p in out:
        out += [c for c in children(p) if c not in out]
    return out


def start_time(pid):
    s = read(f'/proc/{pid}/stat')
    return int(s[s.rindex(')') + 2:].split()[19]) if s else None


class Names:
    """Gives names to pipe:[123] and the like by first appearance."""

    def __init__(self):
        self.seen = {}

    def of(self, text):
        m = re.fullmatch(r'(pipe|socket|net|mnt):\[(\d+)\]', text or '')
        if not m:
            return text
        n = self.seen.setdefault((m[1], m[2]), sum(1 for k in self.seen if k[0] == m[1]))
        return f'{m[1]}#{n}'


def maps(pid):
    """[start, end, perms, offset, path, flags]; neighbours that the kernel could as well have merged are merged."""
    out = []
    text = read(f'/proc/{pid}/smaps') or ''
    for line in text.splitlines():
        m = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s*(.*)', line)
        if m:
            out.append([int(m[1], 16), int(m[2], 16), m[3], int(m[4], 16), m[5], ''])
        elif line.startswith('VmFlags:'):
            out[-1][5] = ' '.join(f for f in line.split()[1:] if f not in VOLATILE_VMFLAGS)
    merged = []
    for v in out:
        p = merged[-1] if merged else None
        if p and p[1] == v[0] and p[2] == v[2] and p[4] == v[4] and p[5] == v[5]:
            if not v[4].startswith('/') or p[3] + p[1] - p[0] == v[3]:
                p[1] = v[1]
                continue
        merged.append(v)
    return [f'{a:x}-{b:x} {perms} {off if path.startswith("/") else 0:x} {path} [{flags}]' for a, b, perms, off, path, flags in merged]


def fdinfo(pid, fd):
    out = []
    for line in (read(f'/proc/{pid}/fdinfo/{fd}') or '').splitlines():
        key = line.split(':')[0]
        if key in ('mnt_id', 'ino', 'it_value', 'ticks', 'eventfd-id'):
            continue
        if key == 'tfd':
            line = re.sub(r'\s*pos:.*', '', line)
        elif key == 'lock':
            line = re.sub(r'^lock:\s*\d+: ', 'lock: ', line)
            line = re.sub(r' [0-9a-f]+:[0-9a-f]+:\d+ ', ' ', line)
        elif key.startswith('inotify'):
            line = re.sub(r' (ino|sdev|fhandle-bytes|fhandle-type|f_handle):\S+', '', line)
        out.append(' '.join(line.split()))
    return sorted(out)


def thread(pid, tid):
    t = f'/proc/{pid}/task/{tid}'
    st = read(f'{t}/stat')
    if not st:
        return None
    f = st[st.rindex(')') + 2:].split()
    keys = {}
    for l in (read(f'{t}/status') or '').splitlines():
        k, _, v = l.partition(':')
        if k in STATUS_KEYS:
            keys[k] = ' '.join(v.split())
    keys['stopped'] = f[0] if f[0] in 'TZ' else ''
    for k in ('nice', 'rt_priority', 'policy'):
        keys[k] = f[STAT_FIELDS[k] - 3]
    keys['timerslack'] = read(f'/proc/{tid}/timerslack_ns')
    return keys


def process(pid, names):
    p = f'/proc/{pid}'
    st = read(f'{p}/stat')
    if not st:
        return None
    f = st[st.rindex(')') + 2:].split()
    out = {k: f[n - 3] for k, n in STAT_FIELDS.items() if len(f) > n - 3}
    out['zombie'] = f[0] == 'Z'
    if out['zombie']:
        return {k: out[k] for k in ('pgrp', 'session', 'zombie', 'exit_signal')} | {'children': children(pid)}
    out['maps'] = maps(pid)
    for k in ('exe', 'cwd', 'root'):
        out[k] = link(f'{p}/{k}')
    for k in ('cmdline', 'environ', 'auxv'):
        out[k] = read(f'{p}/{k}', 'rb')
    for k in ('limits', 'personality', 'coredump_filter', 'oom_score_adj', 'cgroup', 'setgroups', 'uid_map', 'gid_map'):
        out[k] = read(f'{p}/{k}')
    out['timers'] = [l for l in (read(f'{p}/timers') or '').splitlines() if l.split(':')[0] in ('ID', 'signal', 'notify', 'ClockID')]
    try:
        out['ns'] = {n: link(f'{p}/ns/{n}') for n in sorted(os.listdir(f'{p}/ns')) if not n.endswith('_for_children')}
        out['fds'] = {n: [names.of(link(f'{p}/fd/{n}'))] + fdinfo(pid, n) for n in sorted(os.listdir(f'{p}/fd'), key=int)}
        out['threads'] = {t: thread(pid, t) for t in sorted(os.listdir(f'{p}/task'), key=int)}
    except OSError as e:
        out['error'] = str(e)
    out['children'] = children(pid)
    return out


def snapshot(root):
    names = Names()
    return {pid: process(pid, names) for pid in sorted(tree(root))}


def diff(a, b, where='', ignore=()):
    """Differences between two snapshots, as lines `where: before -> after`."""
    if where.rstrip('/').split('/')[-1] in ignore or a == b:
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        out = []
        for k in list(a) + [k for k in b if k not in a]:
            if k not in a:
                out.append(f'{where}{k}: new: {b[k]!r}'[:300])
            elif k not in b:
                out.append(f'{where}{k}: gone: {a[k]!r}'[:300])
            else:
                out += diff(a[k], b[k], f'{where}{k}/', ignore)
        return out
    if isinstance(a, list) and isinstance(b, list):
        gone = [x for x in a if x not in b]
        new = [x for x in b if x not in a]
        if not gone and not new:
            return [f'{where} order: {a} -> {b}'[:600]]
        return [f'{where} gone: {x}' for x in gone[:4]] + [f'{where} new: {x}' for x in new[:4]]
    return [f'{where} {a!r} -> {b!r}'[:300]]
