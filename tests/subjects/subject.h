/*
 * What every test subject shares: the dialogue with the harness, and nothing that could disturb what
 * is tested (no thread, no shared mapping, no timer, no descriptor beyond 0, 1 and 2).
 *
 * The dialogue. The harness gives regular files for stdin, stdout and stderr, so that no end of a pipe
 * lies outside the tree. Every line is one write() to a file in append mode, so lines of many tasks
 * never mix. A subject
 *   1. sets up its state, prints facts (`key=value`), then `ready`, and goes on working;
 *      where the kernel lacks what it needs it prints `unsupported REASON` and exits with 77;
 *   2. at SIGTERM looks at its own state from the inside, prints `ok NAME` or `FAIL NAME: REASON` for
 *      each thing looked at, then `verdict PASS` or `verdict FAIL`, and exits with 0 or 1.
 * Between `ready` and SIGTERM anything may happen to it; it must not be able to tell.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNSUPPORTED 77

/* Set by SIGTERM: the time to look at oneself has come. */
static volatile sig_atomic_t term_requested;
/* How many checks have failed in this task. */
static volatile int failures;

static inline void vsay(const char *prefix, const char *name, const char *fmt, va_list args)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s%s", prefix, name);
	if (fmt)
		n += vsnprintf(line + n, sizeof(line) - n - 1, fmt, args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(1, line, n) != n)
		_exit(3);
}

/* One line on stdout. */
static inline __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsay("", "", fmt, args);
	va_end(args);
}

/* A set-up that failed: no verdict is possible. */
static inline __attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...)
{
	int saved = errno;
	va_list args;
	va_start(args, fmt);
	vsay("error ", "", fmt, args);
	va_end(args);
	say("error errno %d (%s)", saved, strerror(saved));
	_exit(2);
}

/* The kernel or the machine lacks what this subject is about. */
static inline __attribute__((format(printf, 1, 2), noreturn)) void unsupported(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsay("unsupported ", "", fmt, args);
	va_end(args);
	_exit(UNSUPPORTED);
}

/* A fact for the test: `name=value`. */
static inline __attribute__((format(printf, 2, 3))) void fact(const char *name, const char *fmt, ...)
{
	char with[64];
	snprintf(with, sizeof(with), "%s=", name);
	va_list args;
	va_start(args, fmt);
	vsay(with, "", fmt, args);
	va_end(args);
}

/* Says whether `name` holds; the reason is printed only when it does not. */
static inline __attribute__((format(printf, 3, 4))) bool check(bool holds, const char *name,
							       const char *fmt, ...)
{
	if (holds) {
		say("ok %s", name);
		return true;
	}
	char with[128];
	snprintf(with, sizeof(with), "FAIL %s: ", name);
	va_list args;
	va_start(args, fmt);
	vsay(with, "", fmt, args);
	va_end(args);
	failures++;
	return false;
}

/* Two numbers that must be equal. */
static inline bool check_equal(const char *name, long long got, long long want)
{
	return check(got == want, name, "%lld (%#llx) instead of %lld (%#llx)", got, got, want, want);
}

static inline void on_term(int sig)
{
	(void)sig;
	term_requested = 1;
}

/* First call of every subject: SIGTERM is noted and interrupts nothing that can be restarted. */
static inline void subject_init(void)
{
	struct sigaction act = { .sa_handler = on_term, .sa_flags = SA_RESTART };
	if (sigaction(SIGTERM, &act, NULL))
		die("sigaction(SIGTERM)");
}

static inline void ready(void)
{
	say("ready");
}

/* Last call of the root task of every subject. */
static inline __attribute__((noreturn)) void finish(void)
{
	say("verdict %s", failures ? "FAIL" : "PASS");
	_exit(failures ? 1 : 0);
}

static inline void sleep_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* For subjects whose state only has to last: waits for SIGTERM in short sleeps. */
static inline void wait_for_term(void)
{
	while (!term_requested)
		sleep_ms(10);
}

/* Seconds on the clock that no restore may turn back. */
static inline double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static inline pid_t own_tid(void)
{
	return syscall(SYS_gettid);
}

/* fork() whose child counts its own failures; it must end in child_finish(). */
static inline pid_t fork_child(void)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		failures = 0;
	return pid;
}

/* Last call of a child: its failures become its exit status, which end_child() looks at. */
static inline __attribute__((noreturn)) void child_finish(void)
{
	_exit(failures ? 1 : 0);
}

/* Asks a child for its verdict and checks that it was good. */
static inline void end_child(const char *name, pid_t pid)
{
	int status = 0;
	kill(pid, SIGTERM);
	pid_t got = waitpid(pid, &status, 0);
	check(got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, name,
	      "waitpid(%d) gives %d (errno %d), status %#x", pid, got, got < 0 ? errno : 0, status);
}

/* argv[n], or a default. */
static inline const char *arg(int argc, char **argv, int n, const char *otherwise)
{
	return n < argc ? argv[n] : otherwise;
}

#endif
