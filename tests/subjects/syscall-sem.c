/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* semop and semtimedop on a System V semaphore of the surrounding IPC namespace: waiting goes on, no EINTR. */
#include <pthread.h>
#include <sys/sem.h>

#include "subject.h"

static int sem;
static volatile pid_t tids[2];

static void *wait_plain(void *arg)
{
	struct sembuf op = { 0, -1, 0 };

	tids[0] = gettid_();
	CHECK(!semop(sem, &op, 1), "semop: %s", strerror(errno));
	return NULL;
}

static void *wait_timed(void *arg)
{
	struct sembuf op = { 1, -1, 0 };
	const struct timespec t = { 1, 0 };
	int64_t t0 = clock_ms(CLOCK_MONOTONIC);

	tids[1] = gettid_();
	CHECK(semtimedop(sem, &op, 1, &t) < 0 && errno == EAGAIN, "semtimedop: %s", strerror(errno));
	CHECK(clock_ms(CLOCK_MONOTONIC) - t0 >= 980, "semtimedop returned early");
	return NULL;
}

int main(int argc, char **argv)
{
	struct sembuf op = { 0, 1, 0 };
	pthread_t a, b;

	subject_init(argc, argv);
	sem = (int)MUST_SYS(semget(IPC_PRIVATE, 2, 0600));
	MUST(!pthread_create(&a, NULL, wait_plain, NULL));
	MUST(!pthread_create(&b, NULL, wait_timed, NULL));
	while (!tids[0] || !tids[1])
		sleep_ms(1);
	await_sleeping(tids[0]);
	await_sleeping(tids[1]);
	subject_wait();
	CHECK_SYS(semop(sem, &op, 1));
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	(void)semctl(sem, 0, IPC_RMID);
	return subject_done();
}
