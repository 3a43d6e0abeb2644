/*
 * Anonymous memory that parent and children share through fork: one counter that all add to under a
 * lock in it, each one's own pages, and a part that one of them has unmapped or protected otherwise.
 * Usage: mem_shared_anon_fork [CHILDREN=2]
 */
#include "mem.h"

#define PAGES 16

struct shared {
	volatile uint64_t total;
	volatile uint64_t by[64];
	volatile uint32_t stop;
};

static void work(struct shared *s, int index)
{
	__sync_fetch_and_add(&s->total, 1);
	s->by[index]++;
	sleep_ms(1);
}

int main(int argc, char **argv)
{
	int n = atoi(arg(argc, argv, 1, "2"));
	pid_t children[64];
	char name[32];

	subject_init();
	struct shared *s = (void *)map(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *pages = (char *)s;
	fill_page(pages + 15 * PAGE, 15, 0);
	for (int i = 1; i <= n; i++) {
		children[i] = fork_child();
		if (children[i])
			continue;
		fill_page(pages + i % 10 * PAGE + 2 * PAGE, i, 0);
		if (i == 1)
			munmap(pages + 14 * PAGE, PAGE);
		if (i == 2)
			mprotect(pages + 13 * PAGE, PAGE, PROT_READ);
		while (!s->stop)
			work(s, i);
		check(page_is(pages + 15 * PAGE, 15, 0), "child: page of the parent", "it changed");
		if (i == 1)
			check(!is_readable(pages + 14 * PAGE), "child: unmapped", "it is there again");
		if (i == 2)
			check_perms("child: permissions", pages + 13 * PAGE, "r--s");
		child_finish();
	}
	for (int i = 1; i <= n; i++)
		while (!s->by[i])
			sleep_ms(1);
	ready();
	while (!term_requested)
		work(s, 0);
	s->stop = 1;
	for (int i = 1; i <= n; i++) {
		snprintf(name, sizeof(name), "child %d", i);
		end_child(name, children[i]);
		snprintf(name, sizeof(name), "page of child %d", i);
		if (n <= 10)
			check(page_is(pages + i % 10 * PAGE + 2 * PAGE, i, 0), name, "it does not show");
	}
	uint64_t sum = 0;
	for (int i = 0; i <= n; i++)
		sum += s->by[i];
	check(sum == s->total && s->total > 0, "counter", "%lu altogether, %lu by all", s->total, sum);
	check_perms("permissions", pages, "rw-s");
	finish();
}
