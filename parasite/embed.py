#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""embed.py OBJCOPY ELF OUT: flat bytes of the interpreter as a C array; refuses relocations."""
import subprocess, sys, tempfile, os
objcopy, elf, out = sys.argv[1:]
readelf = objcopy.replace('objcopy', 'readelf')
rel = subprocess.run([readelf, '-rW', elf], check=True, capture_output=True, text=True).stdout
if 'There are no relocations' not in rel:
    sys.exit('the interpreter has relocations:\n' + rel)
with tempfile.TemporaryDirectory() as d:
    flat = os.path.join(d, 'flat')
    subprocess.run([objcopy, '-O', 'binary', '-j', '.blob', elf, flat], check=True)
    data = open(flat, 'rb').read()
if len(data) > 1400:
    sys.exit(f'the interpreter has {len(data)} bytes: too large for the padding of the vDSO')
with open(out, 'w') as f:
    f.write('/* generated */\n#include <stddef.h>\n#include <stdint.h>\n#include "parasite/blob.h"\n')
    f.write('const uint8_t eng_blob[] __attribute__((aligned(8))) = {' + ','.join(map(str, data)) + '};\n')
    f.write('const size_t eng_blob_size = sizeof(eng_blob);\n')
