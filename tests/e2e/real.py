# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real programs: each is dumped at work or idle, restored, and must go on with correct results."""
import functools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request

import driver
from driver import Case, Failed, Skipped, Test, check, read, reap, state, tree, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            raise Skipped(f'{p} is not installed')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def output(t, name):
    return ((read(t.path(name + '.err')) or '') + (read(t.path(name + '.out')) or '')).strip()[-300:]


def pass_through(t, pid, mode):
    """The dump under test. Afterwards the same pid is running again, or still."""
    if not driver.settings.engine:
        return
    image = t.image()
    if mode == 'running':
        r = t.dump(pid, image, '--leave-running')
        check(state(pid) not in (None, 'Z'), f'it died of a dump that should leave it running: {r.last()}')
        return
    for _ in range(3 if mode == 'thrice' else 1):
        image = t.image()
        pids = tree(pid)
        r = t.engine('dump', '-t', pid, '-D', image)
        check(r.rc == 0, f'dump failed ({r.rc}): {r.last()}')
        t.expect_gone(pids, pid)
        t.restore(image)
        check(state(pid) not in (None, 'Z'), 'the restored process is not there')


def stop(pid, sig=signal.SIGTERM, want=0, timeout=20):
    os.kill(pid, sig)
    st = reap(pid, timeout)
    if want is not None:
        check(st == want, f'it ended with status 0x{st:x} instead of 0x{want:x}')


class Redis:
    """The few words of the protocol that the tests need."""

    def __init__(self, port):
        self.sock = socket.create_connection(('127.0.0.1', port), 10)
        self.f = self.sock.makefile('rb')

    def send(self, *args):
        out = b'*%d\r\n' % len(args)
        for a in args:
            b = str(a).encode()
            out += b'$%d\r\n%s\r\n' % (len(b), b)
        self.sock.sendall(out)

    def reply(self):
        line = self.f.readline()
        check(line, 'redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'$':
            if rest == b'-1':
                return None
            return self.f.read(int(rest) + 2)[:-2].decode()
        if kind == b'*':
            return [self.reply() for _ in range(int(rest))]
        check(kind != b'-', f'redis: {rest.decode()}')
        return int(rest) if kind == b':' else rest.decode()

    def __call__(self, *args):
        self.send(*args)
        return self.reply()

    def close(self):
        self.f.close()
        self.sock.close()


def sockets(pid):
    return sum((driver.link(f'/proc/{pid}/fd/{f}') or '').startswith('socket:') for f in os.listdir(f'/proc/{pid}/fd'))


def redis(t, mode):
    need('redis-server', 'redis-cli')
    port, n = free_port(), 20000
    pid = t.start(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', t.dir],
                  name='redis')

    def up():
        check(state(pid) not in (None, 'Z'), f'redis did not start: {output(t, "redis")}')
        return 'Ready to accept' in output(t, 'redis') or 'ready to accept' in output(t, 'redis')
    wait_until('redis to start', up)
    idle = sockets(pid)
    load = ''.join(f'SET key:{i} value:{i * 7919}\r\n' for i in range(n)) + 'RPUSH list a b c\r\nHSET hash f v\r\nSET gone soon PX 3600000\r\n'
    r = subprocess.run(['redis-cli', '-p', str(port), '--pipe'], input=load.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    check(r.returncode == 0, f'loading: {r.stdout.decode()[-200:]}')
    wait_until('redis to be without clients', lambda: sockets(pid) == idle)
    pass_through(t, pid, mode)
    c = Redis(port)
    check(c('DBSIZE') == n + 3, f'{c("DBSIZE")} keys instead of {n + 3}')
    for base in range(0, n, 500):
        got = c('MGET', *[f'key:{i}' for i in range(base, base + 500)])
        check(got == [f'value:{i * 7919}' for i in range(base, base + 500)], f'wrong values from key {base}')
    check(c('LRANGE', 'list', 0, -1) == ['a', 'b', 'c'] and c('HGET', 'hash', 'f') == 'v', 'wrong list or hash')
    check(3000000 < c('PTTL', 'gone') <= 3600000, f'time to live {c("PTTL", "gone")}')
    check(c('SET', 'new', '1') == 'OK' and c('INCR', 'new') == 2, 'it takes no new keys')
    c.close()
    stop(pid)


def nginx(t, mode):
    need('nginx')
    port = free_port()
    os.mkdir(t.path('html'))
    with open(t.path('html/index.html'), 'w') as f:
        f.write('hello from nginx\n' * 1000)
    os.chmod(t.path('html/index.html'), 0o644)
    with open(t.path('nginx.conf'), 'w') as f:
        f.write(f'''daemon off; worker_processes 2; pid {t.dir}/nginx.pid; error_log {t.dir}/error.log;
            events {{ worker_connections 64; }}
            http {{ access_log off; client_body_temp_path {t.dir}/b; proxy_temp_path {t.dir}/p; fastcgi_temp_path {t.dir}/f; uwsgi_temp_path {t.dir}/u;
            scgi_temp_path {t.dir}/s; keepalive_timeout 0;
            server {{ listen 127.0.0.1:{port}; root {t.dir}/html; location /ping {{ return 200 "pong\\n"; }} }} }}''')
    pid = t.start(['nginx', '-p', t.dir, '-e', t.path('error.log'), '-c', t.path('nginx.conf')], name='nginx')

    def get(path):
        with urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=10) as r:
            return r.read().decode()

    def up():
        check(state(pid) not in (None, 'Z'), f'nginx did not start: {output(t, "nginx")} {read(t.path("error.log"))}')
        try:
            return len(tree(pid)) == 3 and get('/ping') == 'pong\n'
        except OSError:
            return False
    wait_until('nginx to start', up)
    idle = [sockets(p) for p in tree(pid)[1:]]
    wait_until('nginx to be without clients', lambda: [sockets(p) for p in tree(pid)[1:]] <= idle)
    time.sleep(0.05)
    pass_through(t, pid, mode)
    for _ in range(20):
        check(get('/ping') == 'pong\n', 'wrong answer')
    check(get('/') == 'hello from nginx\n' * 1000, 'wrong file')
    workers = tree(pid)[1:]
    os.kill(pid, signal.SIGHUP)  # The master can still start workers and end the old ones.
    wait_until('new workers', lambda: len(tree(pid)) == 3 and not set(workers) & set(tree(pid)), 20)
    check(get('/ping') == 'pong\n', 'wrong answer after a reload')
    stop(pid, signal.SIGQUIT)


PYTHON = r'''
import os, sqlite3, sys, threading, time, random, queue
d = sys.argv[1]
db = sqlite3.connect(d + '/db.sqlite', isolation_level=None)
db.execute('create table t (i integer primary key, v text)')
stop = False
q = queue.Queue(10)
sums = [0] * 4
def worker(k):
    while True:
        i = q.get()
        if i is None:
            return
        sums[k] += i
threads = [threading.Thread(target=worker, args=(k,)) for k in range(4)]
for t in threads:
    t.start()
i = 0
big = {n: str(n) * 10 for n in range(50000)}
open(d + '/ready', 'w').close()
while not os.path.exists(d + '/go'):
    db.execute('begin immediate')
    for _ in range(5):
        db.execute('insert into t values (?, ?)', (i, 'x' * (i % 50)))
        q.put(i)
        i += 1
        time.sleep(0.001)
    db.execute('commit')
for t in threads:
    q.put(None)
for t in threads:
    t.join()
assert sum(sums) == i * (i - 1) // 2, (sums, i)
assert db.execute('select count(*), max(i) from t').fetchone() == (i, i - 1)
assert db.execute('pragma integrity_check').fetchone() == ('ok',)
assert all(v == str(n) * 10 for n, v in big.items())
open(d + '/result', 'w').write('ok %d' % i)
'''


def finish_program(t, pid, timeout=40):
    open(t.path('go'), 'w').close()
    st = reap(pid, timeout)
    name = next(n for n in ('program',))
    check(st == 0, f'it ended with status 0x{st:x}: {output(t, name)}')
    return (read(t.path('result')) or '').strip()


def await_program(t, pid, timeout=30):
    def ready():
        check(state(pid) not in (None, 'Z'), f'it did not start: {output(t, "program")}')
        return os.path.exists(t.path('ready'))
    wait_until('the program to be ready', ready, timeout)


def python(t, mode):
    need('python3')
    with open(t.path('program.py'), 'w') as f:
        f.write(PYTHON)
    pid = t.start([os.path.realpath(driver.sys.executable), t.path('program.py'), t.dir], name='program')
    await_program(t, pid)
    time.sleep(0.1)
    pass_through(t, pid, mode)
    time.sleep(0.1)
    res = finish_program(t, pid)
    check(res.startswith('ok '), f'result {res!r}')
    with sqlite3.connect(t.path('db.sqlite')) as db:
        check(db.execute('select count(*) from t').fetchone()[0] == int(res.split()[1]), 'rows are missing')


BASH = r'''
cd "$1"
set -o pipefail
producer() { local i=0; while [ ! -e go ]; do echo $((i++)); [ $((i % 7)) ] && sleep 0.005; done; }
producer | while read -r n; do echo $((n * 2)); done | tee doubled | awk '{ s += $1; n++ } END { print n, s }' >sum &
first=$!
( trap 'echo usr1 >>signals' USR1; while [ ! -e go ]; do sleep 0.01; done; exit 3 ) &
second=$!
mkfifo f; ( while read -r x; do echo "got $x"; done <f >from-fifo ) &
exec 9>f
echo early >&9
touch ready
while [ ! -e go ]; do sleep 0.01; done
echo late >&9
exec 9>&-
wait $first || exit 10
wait $second; [ $? = 3 ] || exit 11
wait || exit 12
[ "$(cat from-fifo)" = "$(printf 'got early\ngot late')" ] || exit 13
echo ok >result
'''


def bash(t, mode):
    need('bash', 'awk')
    pid = t.start(['bash', '-c', BASH, 'bash', t.dir], name='program')
    await_program(t, pid)
    time.sleep(0.15)
    pass_through(t, pid, mode)
    time.sleep(0.15)
    check(finish_program(t, pid) == 'ok', 'no result')
    lines = [int(x) for x in (read(t.path('doubled')) or '').split()]
    check(lines == [2 * i for i in range(len(lines))] and len(lines) > 5, f'the pipe lost or doubled lines: {lines[-5:]} of {len(lines)}')
    check((read(t.path('sum')) or '').split() == [str(len(lines)), str(sum(lines))], f'sum: {read(t.path("sum"))}')


NODE = r'''
const http = require('http'), fs = require('fs');
let ticks = 0;
const big = Array.from({ length: 100000 }, (_, i) => 'item' + i);
setInterval(() => { ticks++; }, 10);
http.createServer((req, res) => {
    res.setHeader('connection', 'close');
    if (req.url === '/file') fs.readFile(process.argv[2] + '/program.js', (e, d) => res.end(e ? String(e) : d));
    else res.end(JSON.stringify({ ticks, ok: big.every((v, i) => v === 'item' + i), pid: process.pid }));
}).listen(+process.argv[3], '127.0.0.1', () => fs.writeFileSync(process.argv[2] + '/ready', ''));
process.on('SIGTERM', () => process.exit(0));
'''


def node(t, mode):
    need('node')
    port = free_port()
    with open(t.path('program.js'), 'w') as f:
        f.write(NODE)
    pid = t.start(['node', t.path('program.js'), t.dir, str(port)], name='program')
    await_program(t, pid)

    def ask(path='/'):
        with urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=10) as r:
            return r.read().decode()
    import json
    before = json.loads(ask())
    time.sleep(0.1)
    pass_through(t, pid, mode)
    first = json.loads(ask())
    check(first['ok'] and first['pid'] == pid and first['ticks'] > before['ticks'], f'answer {first}, before {before}')
    time.sleep(0.3)
    second = json.loads(ask())
    check(second['ticks'] >= first['ticks'] + 5, f'the timer stands still: {first["ticks"]}, {second["ticks"]}')
    check(ask('/file') == NODE, 'reading a file through the thread pool')
    stop(pid)


JAVA = r'''
import java.nio.file.*;
import java.util.concurrent.atomic.*;

public class Counting {
    static volatile boolean stop;

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[0]);
        AtomicLong total = new AtomicLong();
        long[] own = new long[4];
        Thread[] threads = new Thread[4];
        for (int k = 0; k < 4; k++) {
            final int id = k;
            threads[k] = new Thread(() -> {
                while (!stop) {
                    StringBuilder sb = new StringBuilder();
                    for (int i = 0; i < 100; i++)
                        sb.append(i);
                    if (sb.length() != 190)
                        throw new IllegalStateException("length " + sb.length());
                    own[id]++;
                    total.incrementAndGet();
                    if (own[id] % 1000 == 0)
                        Thread.yield();
                }
            });
            threads[k].start();
        }
        Files.createFile(dir.resolve("ready"));
        while (!Files.exists(dir.resolve("go")))
            Thread.sleep(5);
        stop = true;
        long sum = 0;
        for (int k = 0; k < 4; k++) {
            threads[k].join();
            if (own[k] == 0)
                System.exit(4);
            sum += own[k];
        }
        System.gc();
        if (sum != total.get())
            System.exit(5);
        Files.writeString(dir.resolve("result"), "ok");
    }
}
'''


def java(t, mode):
    need('java', 'javac')
    with open(t.path('Counting.java'), 'w') as f:
        f.write(JAVA)
    r = subprocess.run(['javac', '-d', t.dir, t.path('Counting.java')], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    check(r.returncode == 0, f'javac: {r.stdout.decode()[-200:]}')
    pid = t.start(['java', '-Xmx128m', '-cp', t.dir, 'Counting', t.dir], name='program')
    try:
        await_program(t, pid)
        time.sleep(0.3)
        pass_through(t, pid, mode)
        time.sleep(0.3)
        check(finish_program(t, pid) == 'ok', 'no result')
    finally:
        for d in (f for f in os.listdir('/tmp') if f.startswith('hsperfdata_')):
            try:
                os.unlink(f'/tmp/{d}/{pid}')
            except OSError:
                pass


def make(t, mode):
    need('make', 'gcc')
    n = 30
    os.mkdir(t.path('tmp'))
    want = 0
    for i in range(n):
        with open(t.path(f'f{i}.c'), 'w') as f:
            for k in range(60):
                f.write(f'static int g{k}(int x) {{ int s = {k}; for (int j = 0; j < {k % 9 + 1}; j++) s = (s * 31 + x + j) % 65521; return s; }}\n')
            f.write(f'int f{i}(void) {{ int s = {i};\n' + ''.join(f's = (s + g{k}(s)) % 65521;\n' for k in range(60)) + 'return s; }\n')
        s = i
        for k in range(60):
            v = k
            for j in range(k % 9 + 1):
                v = (v * 31 + s + j) % 65521
            s = (s + v) % 65521
        want += s
    with open(t.path('main.c'), 'w') as f:
        f.write('#include <stdio.h>\n' + ''.join(f'int f{i}(void);\n' for i in range(n)) + 'int main(void) { printf("%d\\n", ' +
                ' + '.join(f'f{i}()' for i in range(n)) + '); return 0; }\n')
    objs = ' '.join(f'f{i}.o' for i in range(n)) + ' main.o'
    with open(t.path('Makefile'), 'w') as f:
        f.write(f'CFLAGS = -O2\nprog: {objs}\n\tgcc -o $@ $^\nf1%.o: f1%.c\n\tgcc $(CFLAGS) -pipe -c -o $@ $<\n%.o: %.c\n\tgcc $(CFLAGS) -c -o $@ $<\n')
    pid = t.start(['make', '-j4', '-C', t.dir], name='program', env={'TMPDIR': t.path('tmp')})
    wait_until('some objects', lambda: len([x for x in os.listdir(t.dir) if x.endswith('.o')]) >= 4 and len(tree(pid)) > 4, 60)
    pass_through(t, pid, mode)
    st = reap(pid, 90)
    check(st == 0, f'make ended with status 0x{st:x}: {output(t, "program")}')
    r = subprocess.run([t.path('prog')], stdout=subprocess.PIPE, timeout=20, check=False)
    check(r.stdout.decode().strip() == str(want), f'the program prints {r.stdout!r} instead of {want}')
    check(not os.listdir(t.path('tmp')), f'temporary files are left: {os.listdir(t.path("tmp"))}')


PROGRAMS = {'redis': redis, 'nginx': nginx, 'python': python, 'bash': bash, 'node': node, 'java': java, 'make': make}


def run(func, mode):
    t = Test()
    try:
        func(t, mode)
    finally:
        t.close()


def cases():
    modes = ('plain', 'running', 'thrice') if driver.settings.engine else ('noop',)
    return [Case(f'real-{n}', m, functools.partial(run, f, m), timeout=180) for n, f in PROGRAMS.items() for m in modes]
