/*
 * A chain of filters: each forbids a call of its own, and all forbid one more, each with another errno. Of equal
 * answers that of the newest filter counts, so the order of the chain shows. argv[1]: how many filters;
 * argv[2]: how many instructions each has.
 */
#include "seccomp.h"

#define FIRST_ERRNO 40

int main(int argc, char **argv)
{
	int length = atoi(arg(argc, argv, 1, "3"));
	int size = atoi(arg(argc, argv, 2, "6"));
	struct sock_filter *code = calloc(size, sizeof(*code));
	if (length > (int)COUNT(PROBES) || size < 6)
		die("so many filters are not foreseen");
	subject_init();
	for (int i = 0; i < length; i++) {
		struct sock_filter head[] = { LOAD_NR, ON(PROBES[i], SECCOMP_RET_ERRNO | (FIRST_ERRNO + i)),
					      ON(SYS_mincore, SECCOMP_RET_ERRNO | (FIRST_ERRNO + i)) };
		memcpy(code, head, sizeof(head));
		/* What fills it up compares as well: not one instruction may get lost. */
		for (int at = COUNT(head); at < size - 1; at++)
			code[at] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, at);
		code[size - 1] = (struct sock_filter)ALLOW_REST;
		install(i % 2 ? SECCOMP_FILTER_FLAG_LOG : 0, code, size);
	}
	ready();
	wait_for_term();
	for (int i = 0; i < (int)COUNT(PROBES); i++) {
		char name[32];
		snprintf(name, sizeof(name), "call %d", i);
		check_errno(name, PROBES[i], i < length ? FIRST_ERRNO + i : 0);
	}
	check_errno("the newest counts", SYS_mincore, FIRST_ERRNO + length - 1);
	check_equal("filters", own_status("Seccomp_filters"), length);
	finish();
}
