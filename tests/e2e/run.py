#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the end-to-end tests: every subject in every mode, then real programs, then faults. See --help."""
import argparse
import functools
import importlib
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(os.path.dirname(here), 'lib'), here]
import driver  # noqa: E402


def collect():
    cases = [driver.Case(n, m, functools.partial(driver.run_subject, n, m)) for n in driver.subjects() for m in driver.modes_of(n)]
    for module in ('real', 'faults', 'outside'):
        if os.path.exists(os.path.join(here, module + '.py')):
            cases += importlib.import_module(module).cases()
    return cases


def inner(spec):
    """Process 1 of the new namespaces: one test, its verdict as the exit status."""
    name, mode = spec.rsplit(':', 1)
    driver.loopback_up()
    try:
        driver.run_subject(name, mode)
    except driver.Skipped as e:
        print(e)
        return 77
    except Exception as e:  # pylint: disable=broad-except
        print(e if isinstance(e, driver.Failed) else repr(e))
        return 1
    return 0


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--full', action='store_true', help='all repeats of the fault tests')
    ap.add_argument('--only', action='append', metavar='PATTERN', help='only tests whose name "subject [mode]" contains PATTERN; may be repeated')
    ap.add_argument('--jobs', type=int, default=2, metavar='N', help='tests at a time')
    ap.add_argument('--list', action='store_true', help='print the names of the tests')
    ap.add_argument('--no-engine', action='store_true', help='run the subjects alone: start, go on, verify')
    ap.add_argument('--keep', action='store_true', help='leave the temporary directories')
    ap.add_argument('--build', default=os.environ.get('BUILD') or driver.settings.build, metavar='DIR')
    ap.add_argument('--count', metavar='FILE', help='write "passed failed skipped" to FILE')
    ap.add_argument('--inner', help=argparse.SUPPRESS)
    a = ap.parse_args()
    s = driver.settings
    s.build, s.full, s.engine, s.keep, s.inner = os.path.abspath(a.build), a.full, not a.no_engine, a.keep, bool(a.inner)
    if a.inner:
        return inner(a.inner)
    cases = [c for c in collect() if not a.only or any(p in str(c) for p in a.only)]
    if a.list:
        print(*cases, sep='\n')
        return 0
    if s.engine and not os.access(os.path.join(s.build, 'core/cli/engine'), os.X_OK):
        print('not ok engine: not built')
        count = {'ok': 0, 'not ok': 1, 'skip': 0}
    else:
        count = driver.Scheduler(a.jobs).run(cases)
    if a.count:
        with open(a.count, 'w') as f:
            f.write(f'{count["ok"]} {count["not ok"]} {count["skip"]}\n')
    else:
        print(f'{count["ok"]} passed, {count["not ok"]} failed, {count["skip"]} skipped')
    return 1 if count['not ok'] else 0


if __name__ == '__main__':
    sys.exit(main())
