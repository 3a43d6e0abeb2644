/*
 * A process in which nothing stays: one thread makes children, which write to what they have inherited and end, or
 * execute a program; another one maps memory, fills it, makes it larger and unmaps it. What a child ends with, and what
 * lies in memory, is looked at each time.
 */
#include "mem.h"

#include <pthread.h>

#define KEPT 8
#define MOST_PAGES 160

static char *inherited;
static volatile unsigned children, mappings;
static volatile bool wrong_end, wrong_memory;

static void *make_children(void *arg)
{
	(void)arg;
	while (!term_requested && !wrong_end) {
		int code = children % 100, status = 0;
		pid_t child = fork();

		if (child < 0)
			continue;
		if (child == 0) {
			char number[16];

			fill_page(inherited, 1000 + code, 0);
			if (code % 2)
				_exit(page_is(inherited, 1000 + code, 0) ? code : 255);
			snprintf(number, sizeof(number), "%d", code);
			execl("/proc/self/exe", "comings", "leaf", number, NULL);
			_exit(254);
		}
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
			wrong_end = true;
		children++;
	}
	return NULL;
}

static void *make_mappings(void *arg)
{
	struct {
		char *start;
		size_t pages;
		uint64_t seed;
	} kept[KEPT] = { 0 };
	int rw = PROT_READ | PROT_WRITE;

	(void)arg;
	while (!term_requested && !wrong_memory) {
		unsigned number = mappings++, slot = number % KEPT;
		size_t pages = 1 + number * 37 % MOST_PAGES, more = pages + number % 5;
		char *start;

		for (size_t at = 0; at < kept[slot].pages; at++)
			if (!page_is(kept[slot].start + at * PAGE, kept[slot].seed, at * PAGE))
				wrong_memory = true;
		if (kept[slot].start)
			munmap(kept[slot].start, kept[slot].pages * PAGE);
		start = map(NULL, pages * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fill_pages(start, pages * PAGE, number);
		start = mremap(start, pages * PAGE, more * PAGE, MREMAP_MAYMOVE);
		if (start == MAP_FAILED)
			die("mremap");
		for (size_t at = pages; at < more; at++)
			fill_page(start + at * PAGE, number, at * PAGE);
		if (number % 3 == 0)
			mprotect(start, more * PAGE, PROT_READ);
		kept[slot].start = start;
		kept[slot].pages = more;
		kept[slot].seed = number;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t maker, mapper;

	if (argc == 3 && !strcmp(argv[1], "leaf"))
		return atoi(argv[2]);
	subject_init();
	inherited = map(NULL, 512 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pages(inherited, 512 * PAGE, 7);
	pthread_create(&maker, NULL, make_children, NULL);
	pthread_create(&mapper, NULL, make_mappings, NULL);
	while (children < 4 || mappings < 2 * KEPT)
		usleep(1000);
	ready();
	wait_for_term();
	pthread_join(maker, NULL);
	pthread_join(mapper, NULL);
	check(!wrong_end, "every child ended as it should", "child %u did not", children);
	check(!wrong_memory, "every mapping held what was written to it", "mapping %u did not", mappings);
	check_pages("what children inherit", inherited, 512 * PAGE, 7);
	finish();
}
