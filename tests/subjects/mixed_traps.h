/* Parts of the mixed subject that catch calls: Syscall User Dispatch and seccomp filters, each of one thread. */
#ifndef MIXED_TRAPS_H
#define MIXED_TRAPS_H

#include "mixed_tasks.h"
#include "seccomp.h"
#include "sud.h"

/* By part: what dispatch asks; and the counts of those that use it. */
static volatile char sud_selector[MAX_PARTS];
static struct sud_count sud_counts[MAX_PARTS];

static inline void dispatch_make(const struct part *p)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sud_install(sud_handler, has(p, "onstack") ? SA_ONSTACK : 0);
	sud_selector[p->id] = has(p, "allow") ? SUD_ALLOW : SUD_BLOCK;
	sud_arm(sud_outside_libc(has(p, "null") ? NULL : &sud_selector[p->id]));
}

static inline void dispatch_look(const struct part *p)
{
	sud_selector[p->id] = SUD_BLOCK;
	for (int i = 0; i < 5; i++)
		if (!sud_issue_next(&sud_counts[p->id])) {
			bad(p, "a call was not dispatched");
			break;
		}
	sud_selector[p->id] = has(p, "allow") ? SUD_ALLOW : SUD_BLOCK;
}

/* Calls that this subject itself never makes. */
static const int FORBIDDEN[] = { SYS_sync_file_range, SYS_fsync,  SYS_fdatasync, SYS_fchmod,
				 SYS_fchown,	      SYS_readahead, SYS_fallocate, SYS_tee };

static inline void filter_make(const struct part *p)
{
	struct sock_filter code[] = { LOAD_NR, ON(FORBIDDEN[p->id % 8], SECCOMP_RET_ERRNO | (700 + p->id % 8)),
				      ALLOW_REST };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("prctl(PR_SET_NO_NEW_PRIVS)");
	/* Threads that have filters of their own cannot be given the same. */
	if (!has(p, "tsync") || try_seccomp(SECCOMP_FILTER_FLAG_TSYNC, code, COUNT(code)))
		install(0, code, COUNT(code));
}

static inline void filter_look(const struct part *p)
{
	errno = 0;
	long result = syscall(FORBIDDEN[p->id % 8], -1, -1, -1, -1, -1, -1);
	if (result != -1 || errno != 700 + p->id % 8)
		bad(p, "the forbidden call gives %ld, errno %d", result, errno);
}

#endif
