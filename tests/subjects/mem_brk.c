/* The heap: the break where it was, its contents, and it can still be moved both ways. */
#include "mem.h"

int main(void)
{
	struct mapping m;

	subject_init();
	char *start = sbrk(0);
	start = (char *)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1));
	if (brk(start + 40 * PAGE + 123))
		die("brk");
	fill_pages(start, 40 * PAGE, 1);
	char *end = (char *)syscall(SYS_brk, 0);
	fact("brk", "%p", (void *)end);
	ready();
	wait_for_term();
	check_equal("the break", syscall(SYS_brk, 0), (long)end);
	check_pages("contents", start, 40 * PAGE, 1);
	check(mapping_of(start, &m) && !strncmp(m.path, "[heap]", 6), "name", "%s", m.path);
	check_equal("it grows", brk(start + 80 * PAGE), 0);
	check(page_is_zero(start + 60 * PAGE), "new pages", "they are not zero");
	check_equal("it shrinks", brk(start + 10 * PAGE), 0);
	check(!is_readable(start + 20 * PAGE), "gone pages", "they can be read");
	check_pages("what is left", start, 10 * PAGE, 1);
	finish();
}
