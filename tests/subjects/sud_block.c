/*
 * Dispatch with the selector at BLOCK all the time; calls from the C library are allowed.
 * Usage: sud_block [busy]   busy: foreign calls without a pause, so a freeze falls into a dispatch.
 */
#include "sud.h"

static volatile char selector = SUD_BLOCK;

int main(int argc, char **argv)
{
	bool busy = !strcmp(arg(argc, argv, 1, ""), "busy");
	struct sud_count count = { 0 };

	subject_init();
	sud_install(sud_handler, 0);
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	if (!sud_issue_next(&count))
		die("the first foreign call was not dispatched");
	fact("selector", "%#lx", config.selector);
	fact("offset", "%#lx", config.offset);
	fact("len", "%#lx", config.len);
	ready();
	while (!term_requested) {
		sud_issue_next(&count);
		if (!busy)
			sleep_ms(1);
	}
	sud_check_count("calls", &count);
	sud_check_config("config", own_tid(), config);
	check_equal("selector", selector, SUD_BLOCK);
	finish();
}
