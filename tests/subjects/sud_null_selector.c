/*
 * Dispatch without a selector: everything outside the C library is always dispatched. gVisor's systrap
 * has it so. A tool which takes "no selector" for "no dispatch" is found out.
 */
#include "sud.h"

int main(void)
{
	struct sud_count count = { 0 };

	subject_init();
	sud_install(sud_handler, 0);
	struct sud_config config = sud_outside_libc(NULL);
	sud_arm(config);
	ready();
	while (!term_requested) {
		sud_issue_next(&count);
		sleep_ms(1);
	}
	sud_check_count("calls", &count);
	sud_check_config("config", own_tid(), config);
	finish();
}
