/*
 * Puts any other subject under Syscall User Dispatch and then under the filter of sandbox.h, by `-include`, when it
 * is set up. The C library is let through; foreign calls before and after tell whether dispatch still is what it was.
 */
#include "sud.h"

#include "sandbox.h"
#undef ready

static volatile char confined_selector = SUD_BLOCK;
static struct sud_count confined_count;

static inline void confined_ready(void)
{
	sud_install(sud_handler, 0);
	sud_arm(sud_outside_libc(&confined_selector));
	sud_issue_next(&confined_count);
	sandbox();
	ready();
}

static inline __attribute__((noreturn)) void confined_finish(void)
{
	for (int i = 0; i < 10; i++)
		sud_issue_next(&confined_count);
	sud_check_count("dispatch", &confined_count);
	finish();
}

#define ready confined_ready
#define finish confined_finish
