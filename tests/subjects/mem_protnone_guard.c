/*
 * What may not be touched: PROT_NONE with contents from before, PROT_NONE that never had any, memory
 * that may only be written or executed, and guard pages inside a mapping (MADV_GUARD_INSTALL, 6.13).
 * Usage: mem_protnone_guard [guard]   guard: only with guard pages, unsupported where there are none
 */
#include "mem.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

int main(int argc, char **argv)
{
	bool want_guard = !strcmp(arg(argc, argv, 1, ""), "guard");
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	subject_init();
	char *none = map(NULL, 8 * PAGE, rw, flags, -1, 0);
	fill_pages(none, 8 * PAGE, 1);
	mprotect(none + 2 * PAGE, 4 * PAGE, PROT_NONE);
	char *empty = map(NULL, 1UL << 30, PROT_NONE, flags | MAP_NORESERVE, -1, 0);
	char *write_only = map(NULL, PAGE, PROT_WRITE, flags, -1, 0);
	*(volatile uint64_t *)write_only = 99;
	char *guarded = map(NULL, 8 * PAGE, rw, flags, -1, 0);
	fill_pages(guarded, 8 * PAGE, 2);
	bool guard = want_guard && madvise(guarded + 3 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) == 0;
	if (want_guard && !guard)
		unsupported("MADV_GUARD_INSTALL");
	ready();
	wait_for_term();

	check_perms("without permission", none + 2 * PAGE, "---p");
	check(!is_readable(none + 2 * PAGE) && is_readable(none), "it cannot be read", "it can");
	mprotect(none + 2 * PAGE, 4 * PAGE, PROT_READ);
	check_pages("its contents", none, 8 * PAGE, 1);
	struct mapping m;
	check(mapping_of(empty, &m) && m.end - m.start >= 1UL << 30 && !strcmp(m.perms, "---p"),
	      "1 GiB without permission", "%#lx-%#lx %s", m.start, m.end, m.perms);
	check_equal("its size in memory", m.rss_kb, 0);
	check_perms("write only", write_only, "-w-p");
	mprotect(write_only, PAGE, PROT_READ);
	check_equal("write only: contents", *(volatile uint64_t *)write_only, 99);
	if (guard) {
		check(!is_readable(guarded + 3 * PAGE) && !is_readable(guarded + 4 * PAGE), "guard pages",
		      "they can be read");
		check_perms("permissions around them", guarded + 3 * PAGE, "rw-p");
		madvise(guarded + 3 * PAGE, 2 * PAGE, MADV_GUARD_REMOVE);
		check(page_is_zero(guarded + 3 * PAGE), "guard pages removed", "not zero");
	}
	check_pages("before the guard", guarded, 3 * PAGE, 2);
	check(page_is(guarded + 5 * PAGE, 2, 5 * PAGE), "after the guard", "it changed");
	finish();
}
