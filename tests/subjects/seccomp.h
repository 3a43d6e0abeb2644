/*
 * What the subjects under seccomp share: small filters, and how many of them a thread has.
 */
#ifndef SECCOMP_SUBJECT_H
#define SECCOMP_SUBJECT_H

#include "subject.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define LOAD_NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define RET(k) BPF_STMT(BPF_RET | BPF_K, (k))
/* Answers one call. */
#define ON(nr, k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), RET(k)
#define ALLOW_REST RET(SECCOMP_RET_ALLOW)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Calls that nobody makes by accident; each succeeds, or fails with EBADF or EINVAL, if it is let through. */
static const int PROBES[] = {
	SYS_getpgrp,	   SYS_getppid,	 SYS_getuid,	  SYS_getgid,	   SYS_geteuid,
	SYS_getegid,	   SYS_alarm,	 SYS_umask,	  SYS_sync_file_range, SYS_getpgid,
	SYS_getsid,	   SYS_times,	 SYS_uname,	  SYS_getcpu,	   SYS_fsync,
	SYS_fdatasync,	   SYS_flock,	 SYS_ftruncate,	  SYS_fchmod,	   SYS_fchown,
	SYS_getsockname,   SYS_listen,	 SYS_shutdown,	  SYS_sendmsg,	   SYS_recvmsg,
	SYS_timerfd_settime, SYS_inotify_rm_watch, SYS_readahead, SYS_fallocate, SYS_tee,
};

static inline long try_seccomp(unsigned int flags, struct sock_filter *code, size_t count)
{
	struct sock_fprog program = { .len = count, .filter = code };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static inline void install(unsigned int flags, struct sock_filter *code, size_t count)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("prctl(PR_SET_NO_NEW_PRIVS)");
	if (try_seccomp(flags, code, count))
		die("seccomp(SECCOMP_SET_MODE_FILTER)");
}

/* Makes one call fail with an errno. */
static inline void forbid(int nr, int error, unsigned int flags)
{
	struct sock_filter code[] = { LOAD_NR, ON(nr, SECCOMP_RET_ERRNO | error), ALLOW_REST };
	install(flags, code, COUNT(code));
}

/* The call fails with that errno; 0 for one that no filter stops. */
static inline void check_errno(const char *name, int nr, int error)
{
	errno = 0;
	long result = syscall(nr, -1, -1, -1, -1, -1, -1);
	if (error)
		check(result == -1 && errno == error, name, "call %d gives %ld, errno %d, not %d", nr,
		      result, errno, error);
	else
		check(result != -1 || errno == EBADF || errno == EINVAL || errno == EFAULT || errno == ESRCH,
		      name, "call %d gives %ld, errno %d", nr, result, errno);
}

/* A number from /proc/thread-self/status: of `Seccomp:` or `Seccomp_filters:`; -1 if there is none. */
static inline int own_status(const char *line)
{
	char text[128];
	int value = -1;
	FILE *status = fopen("/proc/thread-self/status", "r");
	while (status && fgets(text, sizeof(text), status))
		if (!strncmp(text, line, strlen(line)) && text[strlen(line)] == ':')
			value = atoi(text + strlen(line) + 1);
	if (status)
		fclose(status);
	return value;
}

#endif
