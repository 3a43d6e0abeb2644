/* Memory that grows downwards: a mapping made with MAP_GROWSDOWN, and the main thread's own stack. */
#include "mem.h"

static __attribute__((noinline)) int deep(int n)
{
	volatile char frame[2 * PAGE];

	frame[0] = n;
	return n ? deep(n - 1) + frame[0] : 0;
}

int main(void)
{
	struct mapping before, after, stack;

	subject_init();
	/* Room below to grow into: far from anything else. */
	char *hole = map(NULL, 64UL << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	munmap(hole, 64UL << 20);
	char *top = map(hole + (32UL << 20), 4 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	fill_pages(top, 4 * PAGE, 1);
	for (int i = 1; i <= 3; i++)
		fill_page(top - i * PAGE, 2, i * PAGE); /* grows a page at a time */
	mapping_of(top, &before);
	if (before.start != (unsigned long)top - 3 * PAGE)
		unsupported("a MAP_GROWSDOWN mapping that grows");
	mapping_of(&before, &stack);
	fact("start", "%#lx", before.start);
	ready();
	wait_for_term();

	mapping_of(top, &after);
	check_equal("start", after.start, before.start);
	check_equal("end", after.end, before.end);
	check(strstr(after.flags, "gd") != NULL, "flag", "no gd among%s", after.flags);
	check_pages("contents", top, 4 * PAGE, 1);
	for (int i = 1; i <= 3; i++)
		check(page_is(top - i * PAGE, 2, i * PAGE), "grown page", "page %d changed", i);
	*(volatile char *)(top - 4 * PAGE) = 1;
	mapping_of(top, &after);
	check_equal("grows on", after.start, before.start - PAGE);

	mapping_of(&before, &after);
	check(!strncmp(after.path, "[stack]", 7) && strstr(after.flags, "gd"), "stack", "%s, flags%s",
	      after.path, after.flags);
	check_equal("end of the stack", after.end, stack.end);
	check(deep(300) >= 0, "the stack grows", "-"); /* 2.4 MB: it would die here */
	mapping_of(&before, &after);
	check(after.end - after.start > 300 * 2 * PAGE, "the stack has grown", "to %lu", after.end - after.start);
	finish();
}
