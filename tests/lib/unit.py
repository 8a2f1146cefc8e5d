#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns the log of `meson test` (testlog.json) into one line per test and a last line `passed failed skipped`: cmocka's own lines where there are any."""
import json
import re
import sys

count = {'ok': 0, 'not ok': 0, 'skip': 0}
KINDS = {'OK': 'ok', 'FAILED': 'not ok', 'ERROR': 'not ok', 'SKIPPED': 'skip'}


def say(kind, text):
    count[kind] += 1
    print(kind, text)


for line in open(sys.argv[1], encoding='utf-8', errors='replace'):
    t = json.loads(line)
    text = (t.get('stdout') or '') + '\n' + (t.get('stderr') or '')
    before = dict(count)
    seen = set()
    for kind, name in re.findall(r'^\[ *(OK|FAILED|ERROR|SKIPPED) *\] ([A-Za-z_]\w*)\s*$', text, re.M):
        if (kind, name) not in seen:
            seen.add((kind, name))
            say(KINDS[kind], f'unit {t["name"]}: {name}')
    if t['result'] == 'SKIP' and count == before:
        say('skip', f'unit {t["name"]}: said so itself')
    elif t['result'] == 'OK' and count == before:
        say('ok', f'unit {t["name"]} {t.get("duration", 0):.2f}s')
    elif t['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL') and count['not ok'] == before['not ok']:
        say('not ok', f'unit {t["name"]}: {t["result"]}, status {t.get("returncode")}')
    if t['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL'):
        for l in text.strip().splitlines()[-30:]:
            print('#', l)
print(count['ok'], count['not ok'], count['skip'])
