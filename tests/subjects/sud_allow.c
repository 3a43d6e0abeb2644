/*
 * Dispatch is armed and the selector at ALLOW: calls reach the kernel, until the selector says BLOCK.
 * A tool that loses the dispatch silently is found out by that.
 */
#include "sud.h"

static volatile char selector = SUD_ALLOW;

int main(void)
{
	struct sud_count passed = { 0 }, dispatched = { 0 };

	subject_init();
	sud_install(sud_handler, 0);
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	ready();
	while (!term_requested) {
		sud_issue_undispatched(&passed);
		sleep_ms(1);
	}
	check_equal("selector", selector, SUD_ALLOW);
	sud_check_undispatched("allowed calls", &passed);
	sud_check_config("config", own_tid(), config);
	selector = SUD_BLOCK;
	for (int i = 0; i < 100; i++)
		sud_issue_next(&dispatched);
	sud_check_count("blocked calls", &dispatched);
	finish();
}
