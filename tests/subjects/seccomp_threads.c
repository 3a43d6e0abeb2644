/*
 * Threads: argv[1] is how their filters come about, argv[2] how many there are.
 *   tsync    the leader gives all threads two filters
 *   large    as tsync, with 4096 instructions each
 *   grown    the leader has one before it makes them; every second one has one more of its own
 *   own      the leader has none; every second thread has one of its own, all different in what they forbid
 *   strict   as own, but the others are in strict mode
 * At the end, but for own and strict, a filter is synchronised once more: it must reach all threads.
 */
#include "seccomp.h"

#include <pthread.h>

#define MOST 256
static const char *mode;
static int synced;
static pthread_barrier_t barrier;
static volatile int go, count, bad, synchronised;
static volatile int finished;

/* A filter of the most instructions that the kernel takes. */
static void forbid_at_length(int nr, int error)
{
	static struct sock_filter code[BPF_MAXINSNS];
	struct sock_filter head[] = { LOAD_NR, ON(nr, SECCOMP_RET_ERRNO | error) };
	memcpy(code, head, sizeof(head));
	for (size_t at = COUNT(head); at < COUNT(code) - 1; at++)
		code[at] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, at);
	code[COUNT(code) - 1] = (struct sock_filter)ALLOW_REST;
	install(SECCOMP_FILTER_FLAG_TSYNC, code, COUNT(code));
}

static int errno_of(int nr)
{
	errno = 0;
	return syscall(nr, -1, -1, -1, -1, -1, -1) == -1 ? errno : 0;
}

static int wanted(int index, int probe)
{
	if (synced)
		return probe < 2 ? 50 + probe : 0;
	if (!strcmp(mode, "grown") && probe == 0)
		return 50;
	return index >= 0 && index % 2 && probe == 1 + index % 5 ? 60 + index % 40 : 0;
}

static void look(int index)
{
	for (int probe = 0; probe < 6; probe++) {
		int want = wanted(index, probe);
		int got = errno_of(PROBES[probe]);
		if (got != want) {
			say("note thread %d: call %d gives errno %d, not %d", index, probe, got, want);
			__atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST);
		}
	}
}

static void *thread(void *argument)
{
	int index = (long)argument;
	int strict = !strcmp(mode, "strict") && index % 2 == 0;
	if (!synced && index % 2)
		forbid(PROBES[1 + index % 5], 60 + index % 40, 0);
	pthread_barrier_wait(&barrier);
	if (strict) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
			die("prctl(PR_SET_SECCOMP)");
		__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
		/* It may not even sleep. */
		while (!go)
			__builtin_ia32_pause();
		__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_exit, 0);
	}
	__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
	while (!go)
		sleep_ms(5);
	look(index);
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
	while (!synchronised)
		sleep_ms(5);
	if (synchronised > 0 && errno_of(SYS_getsid) != EXDEV)
		__atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(int argc, char **argv)
{
	mode = arg(argc, argv, 1, "tsync");
	synced = !strcmp(mode, "tsync") || !strcmp(mode, "large");
	int threads = atoi(arg(argc, argv, 2, "4"));
	pthread_t ids[MOST];
	if (threads > MOST)
		die("too many threads");
	subject_init();
	if (!strcmp(mode, "grown"))
		forbid(PROBES[0], 50, 0);
	pthread_barrier_init(&barrier, NULL, threads + 1);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, thread, (void *)i))
			die("pthread_create");
	for (int i = 0; synced && i < 2; i++)
		if (strcmp(mode, "large"))
			forbid(PROBES[i], 50 + i, SECCOMP_FILTER_FLAG_TSYNC);
		else
			forbid_at_length(PROBES[i], 50 + i);
	pthread_barrier_wait(&barrier);
	while (count < threads)
		sleep_ms(5);
	ready();
	wait_for_term();
	go = 1;
	look(-1);
	while (finished < threads)
		sleep_ms(5);
	check_equal("verdicts", bad, 0);
	if (synced) {
		struct sock_filter code[] = { LOAD_NR, ON(SYS_getsid, SECCOMP_RET_ERRNO | EXDEV),
					      ALLOW_REST };
		long result = try_seccomp(SECCOMP_FILTER_FLAG_TSYNC, code, COUNT(code));
		check(result == 0, "synchronised again", "seccomp gives %ld, errno %d", result, errno);
		synchronised = 1;
	} else {
		synchronised = -1;
	}
	if (strcmp(mode, "strict"))
		for (int i = 0; i < threads; i++)
			pthread_join(ids[i], NULL);
	check_equal("all have it", bad, 0);
	finish();
}
