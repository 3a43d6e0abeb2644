/*
 * A process with much of everything, so that each phase of a checkpoint takes long: large THREADS DESCRIPTORS MIB.
 * It looks at its memory when it is told to end.
 */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { WORDS_A_PAGE = 4096 / sizeof(uint64_t) };

static volatile long waiting;

static void *wait_long(void *unused)
{
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return unused;
}

static uint64_t content(size_t word)
{
	return word ^ 0x5ca1ab1e;
}

int main(int argc, char **argv)
{
	long threads = atol(arg(argc, argv, 1, "100"));
	rlim_t descriptors = atol(arg(argc, argv, 2, "100"));
	size_t words = ((size_t)atol(arg(argc, argv, 3, "1")) << 20) / sizeof(uint64_t);
	struct rlimit limit = { descriptors + 64, descriptors + 64 };
	pthread_attr_t attributes;
	pthread_t thread;
	size_t wrong = 0;

	subject_init();
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	for (rlim_t i = 0; i < descriptors; i++)
		if (open("/proc/self/exe", O_RDONLY) < 0)
			die("open");
	uint64_t *memory = mmap(NULL, words * sizeof(*memory), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < words; i += WORDS_A_PAGE)
		memory[i] = content(i);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 1 << 16);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread, &attributes, wait_long, NULL))
			die("pthread_create");
	/* A thread begins with all signals blocked. */
	while (waiting < threads)
		sleep_ms(1);
	ready();
	wait_for_term();
	for (size_t i = 0; i < words; i += WORDS_A_PAGE)
		wrong += memory[i] != content(i);
	check_equal("memory", wrong, 0);
	finish();
}
