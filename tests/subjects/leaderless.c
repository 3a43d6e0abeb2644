/*
 * Processes whose first thread has ended while others live, the root among them. How it ended is what the parent is
 * told in the end: an exit code, or SIGSYS, of a filter's verdict. Some are stopped, have filters of one or of all
 * threads, dispatch, signals of the kernel's waiting, a timer for the thread that is gone, a child that wants a signal
 * at the end of the thread that made it.
 */
#include "sud.h"
#include "seccomp.h"

#include <fcntl.h>
#include <pthread.h>

#define PROBE SYS_getsid
#define STRANGER 12345

static volatile bool others_may_go, first_may_go;
static int to_parent;

/* The wait status of the first thread; -1 while it lives. */
static int first_status(void)
{
	char path[64], text[4096] = "";

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		die("%s", path);
	close(fd);
	return strstr(text, ") Z ") ? atoi(strrchr(text, ' ')) : -1;
}

static void check_threads(const char *name, pid_t self, pid_t other, int status)
{
	check(own_tid() == self && self != getpid(), name, "it is thread %d, not %d", own_tid(), self);
	check(syscall(SYS_tgkill, getpid(), other, 0) == 0, "the other thread", "errno %d", errno);
	check_equal("the status of the first thread", first_status(), status);
}

static void start(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg))
		die("pthread_create");
}

/* Another thread of a child: only there. */
static void *idle(void *tid)
{
	*(volatile pid_t *)tid = own_tid();
	while (!others_may_go)
		sleep_ms(2);
	syscall(SYS_exit, 99);
	return NULL;
}

static pid_t start_idle(void)
{
	static volatile pid_t tid;

	/* A child has that of its parent. */
	tid = 0;
	start(idle, (void *)&tid);
	while (!tid)
		sleep_ms(1);
	return tid;
}

static void say_ready(void)
{
	if (write(to_parent, "r", 1) != 1)
		die("write");
}

/* The process ends thread by thread. */
static __attribute__((noreturn)) void end_alone(void)
{
	if (failures)
		_exit(200);
	others_may_go = true;
	syscall(SYS_exit, 99);
	__builtin_unreachable();
}

static void after_first(void)
{
	while (first_status() < 0)
		sleep_ms(1);
}

/* ---- one with this and that */

static void *plain(void *unused)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	struct itimerspec spec = { { 1000, 0 }, { 1000, 0 } };
	char before[512] = "", after[512] = "";
	sigset_t chld;
	siginfo_t info;
	int id;

	(void)unused;
	pid_t other = start_idle(), self = own_tid();
	prctl(PR_SET_NAME, "plain");
	/* It waits for the signal itself, so that it need not be interrupted. */
	pid_t fond = fork_child();
	if (fond == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_for_term();
		child_finish();
	}
	pid_t dead = fork_child();
	if (dead == 0)
		_exit(4);
	if (waitid(P_PID, dead, &info, WEXITED | WNOWAIT))
		die("waitid");
	event._sigev_un._tid = getpid();
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) ||
	    syscall(SYS_timer_settime, id, 0, &spec, NULL))
		die("timer_create");
	first_may_go = true;
	after_first();
	int timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
	if (pread(timers, before, sizeof(before) - 1, 0) <= 0)
		die("timers");
	close(timers);
	say_ready();
	wait_for_term();

	check_threads("a plain one", self, other, 7 << 8);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	check(sigtimedwait(&chld, &info, &(struct timespec){ 0 }) == SIGCHLD &&
		      info.si_code == CLD_EXITED && info.si_pid == dead && info.si_status == 4,
	      "a signal of the kernel's", "code %d of %d", info.si_code, info.si_pid);
	check(waitpid(dead, NULL, WNOHANG) == dead, "a zombie", "errno %d", errno);
	timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
	check(pread(timers, after, sizeof(after) - 1, 0) > 0 && !strcmp(before, after),
	      "a timer for the first thread", "%s became %s", before, after);
	check(!syscall(SYS_timer_gettime, id, &spec) && spec.it_value.tv_sec > 900, "its time", "%ld s",
	      (long)spec.it_value.tv_sec);
	end_child("a child that wants a signal", fond);
	end_alone();
}

static void plain_first(void)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	prctl(PR_SET_NAME, "first");
	start(plain, NULL);
	/* The timer is for this thread, and must be made while it is there. */
	while (!first_may_go)
		sleep_ms(1);
	/* Of this thread alone: so the parent is told. */
	syscall(SYS_setresuid, STRANGER, STRANGER, STRANGER);
	syscall(SYS_exit, 7);
}

/* ---- filters */

static void *one_filtered(void *unused)
{
	(void)unused;
	pid_t other = start_idle(), self = own_tid();

	after_first();
	forbid(PROBE, EXDEV, 0);
	say_ready();
	wait_for_term();
	check_threads("one with a filter", self, other, SIGSYS);
	check_errno("its filter", PROBE, EXDEV);
	end_alone();
}

static void killed_first(void)
{
	struct sock_filter code[] = { LOAD_NR, ON(PROBE, SECCOMP_RET_KILL_THREAD), ALLOW_REST };

	start(one_filtered, NULL);
	install(0, code, COUNT(code));
	syscall(PROBE, 0);
	die("it lives");
}

/* No thread may end by exit(2) any more. */
static void *all_filtered(void *unused)
{
	struct sock_filter code[] = { LOAD_NR, ON(SYS_exit, SECCOMP_RET_KILL_PROCESS), ALLOW_REST };

	(void)unused;
	after_first();
	install(0, code, COUNT(code));
	pid_t other = start_idle(), self = own_tid();
	say_ready();
	wait_for_term();
	check_threads("one with a filter of all threads", self, other, 3 << 8);
	check_equal("filters", own_status("Seccomp_filters"), 1);
	_exit(failures ? 200 : 8);
}

/* ---- dispatch */

static void *dispatched(void *unused)
{
	static volatile char selector = SUD_BLOCK;
	static struct sud_count count;

	(void)unused;
	pid_t other = start_idle(), self = own_tid();
	after_first();
	sud_install(sud_handler, 0);
	struct sud_config config = sud_outside_libc(&selector);
	sud_arm(config);
	say_ready();
	while (!term_requested) {
		sud_issue_next(&count);
		sleep_ms(1);
	}
	check_threads("one with dispatch", self, other, 11 << 8);
	sud_check_config("its dispatch", self, config);
	sud_check_count("its calls", &count);
	end_alone();
}

/* ---- stopped */

static void *idle_child(void *unused)
{
	(void)unused;
	pid_t other = start_idle(), self = own_tid();

	after_first();
	say_ready();
	wait_for_term();
	check_threads("one that was stopped", self, other, 12 << 8);
	end_alone();
}

/* ---- */

static void run_first(void *(*run)(void *), int code)
{
	start(run, NULL);
	syscall(SYS_exit, code);
}

/* A child whose first thread does `first`, or makes a thread that does `run` and ends with that code. */
static pid_t child(void (*first)(void), void *(*run)(void *), int code)
{
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC))
		die("pipe2");
	pid_t pid = fork_child();
	if (pid == 0) {
		to_parent = ends[1];
		others_may_go = false;
		if (first)
			first();
		else
			run_first(run, code);
		_exit(201);
	}
	if (read(ends[0], &byte, 1) != 1)
		die("child");
	close(ends[0]);
	close(ends[1]);
	return pid;
}

/* From Linux 6.1 on it is the last thread whose end counts, before that it is the first one's. */
static void check_end(const char *name, pid_t pid, int last, int first)
{
	int status = -1;

	kill(pid, SIGTERM);
	pid_t got = waitpid(pid, &status, 0);
	check(got == pid && (status == last || status == first), name,
	      "waitpid(%d) gives %d, status %#x instead of %#x or %#x", pid, got, status, last, first);
}

static void *root(void *unused)
{
	int status;
	siginfo_t info = { 0 };

	(void)unused;
	pid_t other = start_idle(), self = own_tid();
	after_first();
	pid_t plain_child = child(plain_first, NULL, 0);
	pid_t killed = child(killed_first, NULL, 0);
	pid_t filtered = child(NULL, all_filtered, 3);
	pid_t dispatching = child(NULL, dispatched, 11);
	pid_t told = child(NULL, idle_child, 12), untold = child(NULL, idle_child, 12);
	kill(told, SIGSTOP);
	if (waitpid(told, &status, WUNTRACED) != told)
		die("WUNTRACED");
	kill(untold, SIGSTOP);
	if (waitid(P_PID, untold, &info, WSTOPPED | WNOWAIT))
		die("WSTOPPED");
	ready();
	wait_for_term();

	check_threads("the root", self, other, 5 << 8);
	check(waitpid(told, &status, WUNTRACED | WNOHANG) == 0, "a stop that is told", "status %#x", status);
	check(waitpid(untold, &status, WUNTRACED | WNOHANG) == untold && WIFSTOPPED(status),
	      "a stop that is to be told", "status %#x", status);
	kill(told, SIGCONT);
	kill(untold, SIGCONT);
	check_end("the end of one", told, 99 << 8, 12 << 8);
	check_end("the end of the other", untold, 99 << 8, 12 << 8);
	kill(plain_child, SIGTERM);
	check(!waitid(P_PID, plain_child, &info, WEXITED | WNOWAIT) && info.si_uid == STRANGER,
	      "who it was", "uid %d", info.si_uid);
	check_end("the end of a plain one", plain_child, 99 << 8, 7 << 8);
	check_end("the end of one whose first thread was killed", killed, 99 << 8, SIGSYS);
	check_end("the end of one with filters", filtered, 8 << 8, 8 << 8);
	check_end("the end of one with dispatch", dispatching, 99 << 8, 11 << 8);
	finish();
}

int main(void)
{
	subject_init();
	start(root, NULL);
	syscall(SYS_exit, 5);
}
