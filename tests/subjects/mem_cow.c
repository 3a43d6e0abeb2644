/*
 * Private memory after fork: what parent and child have not written is the same in both, what one has
 * written is its own. Usage: mem_cow [PAGES=256]
 */
#include "mem.h"

int main(int argc, char **argv)
{
	long n = atol(arg(argc, argv, 1, "256"));

	subject_init();
	char *p = map(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pages(p, n * PAGE, 1);
	pid_t child = fork_child();
	bool is_child = child == 0;
	/* The child writes every third page, the parent every fifth. */
	long step = is_child ? 3 : 5, seed = is_child ? 3 : 5;
	for (long i = 0; i < n; i += step)
		fill_page(p + i * PAGE, seed, i * PAGE);
	if (!is_child) {
		sleep_ms(50);
		ready();
	}
	wait_for_term();
	long changed = 0;
	for (long i = 0; i < n; i++)
		changed += !page_is(p + i * PAGE, i % step ? 1 : seed, i * PAGE);
	check_equal(is_child ? "child: changed pages" : "parent: changed pages", changed, 0);
	for (long i = 1; i < n; i += step)
		fill_page(p + i * PAGE, 7, 0);
	if (is_child)
		child_finish();
	end_child("child", child);
	finish();
}
