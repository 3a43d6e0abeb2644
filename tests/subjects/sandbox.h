/*
 * Puts any other subject under seccomp, by `-include`: its filter forbids calls that a checkpoint and a restore make
 * inside of it and that the subject itself can do without. With -DSANDBOX_EARLY it is installed first of all,
 * before the subject sets anything up; otherwise when that is done, in all threads.
 */
#include "seccomp.h"

static inline void sandbox(void)
{
	struct sock_filter code[] = {
		LOAD_NR,
		/* What ends an injected program, and what builds a task's memory and threads. */
		ON(SYS_rt_tgsigqueueinfo, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_mremap, SECCOMP_RET_ERRNO | EPERM),
		ON(SYS_mincore, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_pidfd_open, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_pidfd_getfd, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_set_robust_list, SECCOMP_RET_ERRNO | EPERM),
		ON(SYS_setresuid, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_capset, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_setgroups, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS),
		ON(SYS_brk, SECCOMP_RET_ERRNO | EPERM),
#ifndef SANDBOX_EARLY
		ON(SYS_mmap, SECCOMP_RET_ERRNO | EPERM),
		ON(SYS_munmap, SECCOMP_RET_ERRNO | EPERM),
		ON(SYS_mprotect, SECCOMP_RET_ERRNO | EPERM),
		ON(SYS_prctl, SECCOMP_RET_ERRNO | EPERM),
		ON(SYS_prlimit64, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_dup3, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_close_range, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_arch_prctl, SECCOMP_RET_KILL_PROCESS),
#endif
		ALLOW_REST,
	};
	install(SECCOMP_FILTER_FLAG_TSYNC, code, COUNT(code));
}

#ifdef SANDBOX_EARLY
static inline void sandboxed_init(void)
{
	subject_init();
	sandbox();
}
#define subject_init sandboxed_init
#else
static inline void sandboxed_ready(void)
{
	sandbox();
	ready();
}
#define ready sandboxed_ready
#endif
