/*
 * fork clears the dispatch: one child of the armed parent has none, and must not get one; another
 * arms its own, with other values; the parent keeps its own.
 */
#include "sud.h"

static volatile char selector = SUD_BLOCK;
static volatile char second_selector = SUD_BLOCK;

static __attribute__((noreturn)) void unarmed_child(void)
{
	struct sud_count count = { 0 };

	while (!term_requested) {
		sud_issue_undispatched(&count);
		sleep_ms(1);
	}
	sud_check_undispatched("child without: calls", &count);
	sud_check_config("child without: config", own_tid(), (struct sud_config){ 0 });
	child_finish();
}

static __attribute__((noreturn)) void armed_child(void)
{
	struct sud_count count = { 0 };
	struct sud_config config = sud_outside_libc(&second_selector);

	config.offset -= 0x1000;
	config.len += 0x2000;
	sud_arm(config);
	selector = SUD_ALLOW; /* the parent's, of which this is a copy: it must mean nothing here */
	while (!term_requested) {
		sud_issue_next(&count);
		sleep_ms(1);
	}
	sud_check_count("child with its own: calls", &count);
	sud_check_config("child with its own: config", own_tid(), config);
	child_finish();
}

int main(void)
{
	struct sud_count count = { 0 };

	subject_init();
	sud_install(sud_handler, 0);
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	pid_t unarmed = fork_child();
	if (unarmed == 0)
		unarmed_child();
	pid_t armed = fork_child();
	if (armed == 0)
		armed_child();
	fact("unarmed", "%d", unarmed);
	fact("armed", "%d", armed);
	sleep_ms(50);
	ready();
	while (!term_requested) {
		sud_issue_next(&count);
		sleep_ms(1);
	}
	end_child("child without", unarmed);
	end_child("child with its own", armed);
	sud_check_count("parent: calls", &count);
	sud_check_config("parent: config", own_tid(), config);
	check_equal("parent: selector", selector, SUD_BLOCK);
	finish();
}
