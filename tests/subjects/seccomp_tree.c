/*
 * Inherited and grown chains in a tree: the root has one filter, its child that and one more, its grandchild that
 * and one more again; another child has just the inherited one, and a last one was born before there was any.
 */
#include "seccomp.h"

/* What every process of the tree below the root does until it is asked. */
static __attribute__((noreturn)) void serve(pid_t child)
{
	int filters = own_status("Seccomp_filters");
	wait_for_term();
	for (int i = 0; i < 3; i++)
		check_errno("inherited", PROBES[i], i < filters ? ENOTBLK : 0);
	check_equal("filters", own_status("Seccomp_filters"), filters);
	if (child)
		end_child("grandchild", child);
	child_finish();
}

int main(void)
{
	subject_init();
	pid_t without = fork_child();
	if (without == 0)
		serve(0);
	forbid(PROBES[0], ENOTBLK, 0);
	pid_t equal = fork_child();
	if (equal == 0)
		serve(0);
	pid_t grown = fork_child();
	if (grown == 0) {
		forbid(PROBES[1], ENOTBLK, 0);
		pid_t child = fork_child();
		if (child == 0) {
			forbid(PROBES[2], ENOTBLK, 0);
			serve(0);
		}
		serve(child);
	}
	sleep_ms(100);
	ready();
	wait_for_term();
	check_errno("own", PROBES[0], ENOTBLK);
	check_errno("not the child's", PROBES[1], 0);
	check_equal("filters", own_status("Seccomp_filters"), 1);
	end_child("without", without);
	end_child("equal", equal);
	end_child("grown", grown);
	finish();
}
