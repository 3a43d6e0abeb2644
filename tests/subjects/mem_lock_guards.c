/*
 * Guard regions in memory that was locked afterwards, as thread stacks are where the C library installs guards and the
 * program locks all it has. Usage: mem_lock_guards mlock|onfault|current|all, by what it is locked: mlock(),
 * mlock2(MLOCK_ONFAULT), mlockall(MCL_CURRENT), mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
 */
#include "mem.h"

#define GUARD_INSTALL 102

/* 'l' if a new mapping is locked, 'f' if only when its pages are touched, '-' if it is not locked. */
static char future(void)
{
	struct mapping m;
	char *page = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Of its own, so that it does not join a neighbour. */
	madvise(page, PAGE, MADV_DONTFORK);
	mapping_of(page, &m);
	munmap(page, PAGE);
	return !strstr(m.flags, " lo") ? '-' : m.rss_kb ? 'l' : 'f';
}

int main(int argc, char **argv)
{
	const char *how = arg(argc, argv, 1, "mlock");
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct mapping before, after;

	subject_init();
	char *stack = map(NULL, 8 * PAGE, rw, flags, -1, 0);
	madvise(stack, 8 * PAGE, MADV_DONTDUMP);
	fill_pages(stack, 8 * PAGE, 1);
	/* Below, where a stack has it, and one in between. */
	if (madvise(stack, PAGE, GUARD_INSTALL) || madvise(stack + 4 * PAGE, PAGE, GUARD_INSTALL))
		unsupported("no guard regions (MADV_GUARD_INSTALL)");
	if (!strcmp(how, "mlock"))
		mlock(stack, 8 * PAGE); /* fails, as the guards cannot be brought in, and locks it */
	else if (!strcmp(how, "onfault") ? mlock2(stack, 8 * PAGE, MLOCK_ONFAULT) :
		 !strcmp(how, "current") ? mlockall(MCL_CURRENT) :
					   mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		die("%s", how);
	char was = future();
	mapping_of(stack, &before);
	fact("flags", "%s", before.flags);
	ready();
	wait_for_term();

	check(!is_readable(stack) && !is_readable(stack + 4 * PAGE), "guards", "they are gone");
	for (int page = 1; page < 8; page++)
		if (page != 4)
			check(page_is(stack + page * PAGE, 1, page * PAGE), "contents", "page %d", page);
	mapping_of(stack, &after);
	check(!strcmp(before.flags, after.flags), "flags", "%s instead of %s", after.flags, before.flags);
	check(strstr(after.flags, " lo") != NULL, "locked", "flags %s", after.flags);
	check_equal("locked pages", after.locked_kb, before.locked_kb);
	check_equal("new memory is locked as before", future(), was);
	finish();
}
