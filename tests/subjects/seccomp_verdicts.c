/*
 * A filter with every answer that needs nobody outside: allow, errno, trap, kill (thread and process), log, trace
 * without a tracer; and one that looks at an argument. Installed with SECCOMP_FILTER_FLAG_LOG.
 */
#include "seccomp.h"

#include <pthread.h>

#define TRAP_DATA 1234

static volatile int trapped_nr, trapped_errno, trapped_code;

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	trapped_nr = info->si_syscall;
	trapped_errno = info->si_errno;
	trapped_code = info->si_code;
}

static void check_killed(const char *name, int nr)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		signal(SIGSYS, SIG_DFL);
		syscall(nr, -1, -1);
		_exit(0);
	}
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, name, "status %#x", status);
}

static void *die_by_call(void *alive)
{
	syscall(SYS_getegid);
	*(volatile int *)alive = 1;
	return NULL;
}

static int ioctl_errno(unsigned long request)
{
	errno = 0;
	syscall(SYS_ioctl, -1, request, 0);
	return errno;
}

static void look(const char *when)
{
	char name[64];
#define NAME(what) (snprintf(name, sizeof(name), "%s %s", what, when), name)
	check_errno(NAME("allow"), SYS_getppid, 0);
	check_errno(NAME("errno"), SYS_getpgrp, EDOM);
	check_errno(NAME("log"), SYS_getuid, 0);
	check_errno(NAME("trace"), SYS_getgid, ENOSYS);
	trapped_nr = 0;
	syscall(SYS_umask, 0);
	check(trapped_nr == SYS_umask && trapped_errno == TRAP_DATA && trapped_code == 1 /* SYS_SECCOMP */,
	      NAME("trap"), "nr %d, errno %d, code %d", trapped_nr, trapped_errno, trapped_code);
	check_killed(NAME("kill"), SYS_geteuid);
	pthread_t thread;
	volatile int alive = 0;
	if (pthread_create(&thread, NULL, die_by_call, (void *)&alive))
		die("pthread_create");
	pthread_join(thread, NULL);
	check(!alive, NAME("kill thread"), "it survived");
	/* ioctl(-1, 7) is let through, any other request is not. */
	check(ioctl_errno(7) == EBADF, NAME("argument allowed"), "errno %d", ioctl_errno(7));
	check(ioctl_errno(8) == ERANGE, NAME("argument forbidden"), "errno %d", ioctl_errno(8));
	check_equal(NAME("mode"), own_status("Seccomp"), 2);
	check_equal(NAME("filters"), own_status("Seccomp_filters"), 1);
}

int main(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xc000003e, 1, 0),
		RET(SECCOMP_RET_KILL_PROCESS),
		LOAD_NR,
		ON(SYS_getpgrp, SECCOMP_RET_ERRNO | EDOM),
		ON(SYS_getuid, SECCOMP_RET_LOG),
		ON(SYS_getgid, SECCOMP_RET_TRACE),
		ON(SYS_umask, SECCOMP_RET_TRAP | TRAP_DATA),
		ON(SYS_geteuid, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_getegid, SECCOMP_RET_KILL_THREAD),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 1, 0),
		RET(SECCOMP_RET_ERRNO | ERANGE),
		ALLOW_REST,
	};
	struct sigaction act = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };
	subject_init();
	sigaction(SIGSYS, &act, NULL);
	install(SECCOMP_FILTER_FLAG_LOG, code, COUNT(code));
	look("before");
	ready();
	wait_for_term();
	look("after");
	finish();
}
