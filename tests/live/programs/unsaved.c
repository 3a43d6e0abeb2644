/*
 * Has something that is not saved, and says at the end whether all of it is still as it was.
 *
 * Usage: unsaved core|keys|session|landlock|slack|threadchild
 *        unsaved tracer PID    traces somebody outside of the tree
 */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void core(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	siginfo_t info;
	pid_t pid = fork_child();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &all);
		abort();
	}
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
		die("waitid");
	if (info.si_code != CLD_DUMPED)
		unsupported("no core files are written here");
	fact("child", "%d", pid);
	ready();
	wait_for_term();
	waitid(P_PID, pid, &info, WEXITED);
	check_equal("it has dumped core", info.si_code, CLD_DUMPED);
}

static void keys(void)
{
	long key = syscall(SYS_add_key, "user", "a key of a test", "secret", 6, -1 /* KEY_SPEC_THREAD_KEYRING */);

	if (key < 0)
		unsupported("add_key: errno %d", errno);
	ready();
	wait_for_term();
	check(syscall(SYS_keyctl, 11 /* KEYCTL_READ */, key, NULL, 0) == 6, "the key", "errno %d", errno);
}

/* A session keyring of its own. */
static void session(void)
{
	if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0)
		unsupported("KEYCTL_JOIN_SESSION_KEYRING: errno %d", errno);
	long key = syscall(SYS_add_key, "user", "a key of a test", "secret", 6, -3 /* KEY_SPEC_SESSION_KEYRING */);
	if (key < 0)
		unsupported("add_key: errno %d", errno);
	ready();
	wait_for_term();
	check(syscall(SYS_keyctl, 11 /* KEYCTL_READ */, key, NULL, 0) == 6, "the key", "errno %d", errno);
}

/* Shuts itself out of all files. */
static void landlock(void)
{
	/* struct landlock_ruleset_attr: LANDLOCK_ACCESS_FS_WRITE_FILE, _READ_FILE, _READ_DIR. */
	uint64_t handled = 1 << 1 | 1 << 2 | 1 << 3;
	int rules = syscall(444 /* landlock_create_ruleset */, &handled, sizeof(handled), 0);

	if (rules < 0)
		unsupported("landlock: errno %d", errno);
	if (syscall(446 /* landlock_restrict_self */, rules, 0))
		die("landlock_restrict_self");
	close(rules);
	ready();
	wait_for_term();
	check(open("/", O_RDONLY) < 0 && errno == EACCES, "it is shut out", "it is not");
}

/* A child that has got no timer slack from a real-time parent, and not its policy. */
static void slack(void)
{
	struct sched_param high = { .sched_priority = 1 }, normal = { 0 };

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &high))
		unsupported("SCHED_FIFO: errno %d", errno);
	if (prctl(PR_GET_TIMERSLACK) != 0)
		unsupported("real-time threads have a timer slack here");
	pid_t pid = fork_child();
	if (pid == 0) {
		wait_for_term();
		check_equal("no timer slack", prctl(PR_GET_TIMERSLACK), 0);
		child_finish();
	}
	if (sched_setscheduler(0, SCHED_OTHER, &normal))
		die("SCHED_OTHER");
	ready();
	wait_for_term();
	end_child("the child", pid);
}

static volatile pid_t made;
static volatile bool over;

static void *maker(void *unused)
{
	made = fork_child();
	if (made == 0) {
		prctl(PR_SET_PDEATHSIG, SIGUSR1);
		wait_for_term();
		child_finish();
	}
	while (!over)
		sleep_ms(5);
	return unused;
}

/* A child that wants a signal at the end of the thread that made it, which is not the first. */
static void threadchild(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, maker, NULL))
		die("pthread_create");
	while (!made)
		sleep_ms(1);
	ready();
	wait_for_term();
	end_child("the child", made);
	over = true;
	pthread_join(thread, NULL);
}

static void tracer(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, 0, 0))
		die("PTRACE_SEIZE of %d", pid);
	ready();
	wait_for_term();
	check(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0, "it is traced still", "errno %d", errno);
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, 0, 0);
}

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, "");

	subject_init();
	if (!strcmp(what, "core"))
		core();
	else if (!strcmp(what, "keys"))
		keys();
	else if (!strcmp(what, "session"))
		session();
	else if (!strcmp(what, "landlock"))
		landlock();
	else if (!strcmp(what, "slack"))
		slack();
	else if (!strcmp(what, "threadchild"))
		threadchild();
	else if (!strcmp(what, "tracer"))
		tracer(atoi(arg(argc, argv, 2, "0")));
	else
		die("what is %s?", what);
	finish();
}
