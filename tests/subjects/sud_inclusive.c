/*
 * The inclusive mode (6.17 and later): what lies inside the range is dispatched, all else is real.
 * Usage: sud_inclusive [null]   null: without a selector.
 */
#include "sud.h"

static volatile char selector = SUD_BLOCK;

int main(int argc, char **argv)
{
	bool null = !strcmp(arg(argc, argv, 1, ""), "null");
	struct sud_count count = { 0 }, passed = { 0 };

	subject_init();
	sud_install(sud_handler, 0);
	/* The page (or two) of foreign_call(); the rest of the program may lie in it, it makes no calls. */
	uint64_t start = (uintptr_t)foreign_call & ~0xfffUL;
	uint64_t end = ((uintptr_t)foreign_call_end + 0x1000) & ~0xfffUL;
	struct sud_config config = { PR_SYS_DISPATCH_INCLUSIVE_ON, null ? 0 : (uintptr_t)&selector,
				     start, end - start };
	sud_arm(config);
	fact("offset", "%#lx", config.offset);
	fact("len", "%#lx", config.len);
	ready();
	while (!term_requested) {
		sud_issue_next(&count);
		sleep_ms(1);
	}
	sud_check_count("calls", &count);
	check_equal("selector", selector, SUD_BLOCK);
	if (!null) {
		selector = SUD_ALLOW;
		for (int i = 0; i < 100; i++)
			sud_issue_undispatched(&passed);
		sud_check_undispatched("allowed calls", &passed);
	}
	/* The kernel tells this mode in its own way: as the exclusive one of everything else. */
	config.mode = PR_SYS_DISPATCH_ON;
	config.offset = end;
	config.len = -(end - start);
	sud_check_config("config", own_tid(), config);
	finish();
}
