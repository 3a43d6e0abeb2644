/*
 * Advice that stays with a mapping, as the flags of smaps show it: each on a mapping of its own, and
 * one that has several.
 */
#include "mem.h"

#include <sys/mman.h>

static const struct advice {
	const char *name;
	int advice;
	const char *flag;
} all[] = {
	{ "DONTFORK", MADV_DONTFORK, "dc" },	 { "DONTDUMP", MADV_DONTDUMP, "dd" },
	{ "WIPEONFORK", MADV_WIPEONFORK, "wf" }, { "MERGEABLE", MADV_MERGEABLE, "mg" },
	{ "HUGEPAGE", MADV_HUGEPAGE, "hg" },	 { "NOHUGEPAGE", MADV_NOHUGEPAGE, "nh" },
	{ "SEQUENTIAL", MADV_SEQUENTIAL, "sr" }, { "RANDOM", MADV_RANDOM, "rr" },
};
#define COUNT (sizeof(all) / sizeof(all[0]))

static bool has_flag(const void *address, const char *flag)
{
	struct mapping m;
	char wanted[8];

	snprintf(wanted, sizeof(wanted), " %s", flag);
	char padded[140] = " ";
	mapping_of(address, &m);
	strcat(padded, m.flags);
	return strstr(padded, wanted) != NULL;
}

int main(void)
{
	char *at[COUNT];
	bool known[COUNT];
	char name[64];

	subject_init();
	/* A gap after each keeps neighbours from merging. */
	for (size_t i = 0; i < COUNT; i++) {
		at[i] = map(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(at[i] + 4 * PAGE, 4 * PAGE);
		fill_pages(at[i], 4 * PAGE, i);
		known[i] = madvise(at[i], 4 * PAGE, all[i].advice) == 0;
		if (!known[i])
			say("note MADV_%s: this kernel does not know it", all[i].name);
	}
	char *several = map(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pages(several, 4 * PAGE, 99);
	madvise(several, 4 * PAGE, MADV_DONTFORK);
	madvise(several, 4 * PAGE, MADV_DONTDUMP);
	madvise(several, 4 * PAGE, MADV_RANDOM);
	ready();
	wait_for_term();

	for (size_t i = 0; i < COUNT; i++) {
		if (known[i])
			for (size_t j = 0; j < COUNT; j++) {
				if (i == j) {
					snprintf(name, sizeof(name), "MADV_%s", all[i].name);
					check(has_flag(at[i], all[i].flag), name, "the flag %s is gone",
					      all[i].flag);
				} else if (has_flag(at[i], all[j].flag)) {
					check(false, all[j].name, "set on the mapping of %s", all[i].name);
				}
			}
		snprintf(name, sizeof(name), "contents of MADV_%s", all[i].name);
		check_pages(name, at[i], 4 * PAGE, i);
	}
	check(has_flag(several, "dc") && has_flag(several, "dd") && has_flag(several, "rr"), "several",
	      "one of dc, dd, rr is gone");
	check_pages("contents of several", several, 4 * PAGE, 99);
	finish();
}
