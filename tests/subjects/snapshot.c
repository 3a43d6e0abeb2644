/*
 * Memory that is written all the time, of which an image must be of one moment; and a look at what a snapshot could leave
 * behind: children, signals, what wait(2) says. Usage: snapshot HOW [MIB=16] [THREADS=2]
 *
 *   plain      SIGCHLD is caught
 *   ignored    it is ignored
 *   subreaper  orphans below it are its own
 *   child      there is a child, made without SIGCHLD
 *   crowded    its user may have no further process
 *   special    memory that fork does not copy, too: MADV_DONTFORK, MADV_WIPEONFORK, shared, locked, guards
 */
#include "mem.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define MOST 16

/* What one thread writes: up to page `at` its round, from there on the one before. */
struct part {
	char *start;
	size_t pages;
	uint64_t round;
	size_t at;
};

static struct part parts[MOST];
static size_t count;
static volatile sig_atomic_t sigchld;
static volatile bool torn, seen;
static bool has_child;

static void on_child(int sig)
{
	(void)sig;
	sigchld = 1;
}

/* Each page must hold what the last round has left there, whatever has become of this process. */
static void *writer(void *arg)
{
	struct part *part = arg;

	while (!term_requested && !torn) {
		char *page = part->start + part->at * PAGE;

		if (!page_is(page, part->round - 1, part->at))
			torn = true;
		fill_page(page, part->round, part->at);
		if (++part->at == part->pages) {
			part->at = 0;
			part->round++;
		}
	}
	return NULL;
}

/* Nobody else's child is ever there, whichever children one asks for. */
static void *watcher(void *arg)
{
	(void)arg;
	while (!term_requested) {
		siginfo_t info = { 0 };
		int got = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);

		if (has_child ? got || info.si_pid : got == 0 || errno != ECHILD)
			seen = true;
	}
	return NULL;
}

static int sleeper(void *arg)
{
	(void)arg;
	wait_for_term();
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = arg(argc, argv, 1, "plain");
	size_t pages = (atol(arg(argc, argv, 2, "16")) << 20) / PAGE;
	bool special = !strcmp(how, "special");
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *kept = NULL, *wiped = NULL, *shared = NULL, *locked = NULL, *none = NULL;
	pthread_t threads[MOST + 1];
	static char stack[65536];
	pid_t child = 0;

	count = atol(arg(argc, argv, 3, "2"));
	subject_init();
	signal(SIGCHLD, strcmp(how, "ignored") ? on_child : SIG_IGN);
	if (!strcmp(how, "subreaper") && prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("PR_SET_CHILD_SUBREAPER");
	if (!strcmp(how, "child")) {
		has_child = true;
		child = clone(sleeper, stack + sizeof(stack), 0, NULL);
		if (child < 0)
			die("clone");
	}
	if (special) {
		kept = map(NULL, 64 * PAGE, rw, flags, -1, 0);
		wiped = map(NULL, 64 * PAGE, rw, flags, -1, 0);
		shared = map(NULL, 64 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		locked = map(NULL, 64 * PAGE, rw, flags, -1, 0);
		none = map(NULL, 64 * PAGE, rw, flags, -1, 0);
		fill_pages(kept, 64 * PAGE, 1);
		fill_pages(wiped, 64 * PAGE, 2);
		fill_pages(shared, 64 * PAGE, 3);
		fill_pages(locked, 64 * PAGE, 4);
		fill_pages(none, 64 * PAGE, 5);
		if (madvise(kept, 64 * PAGE, MADV_DONTFORK) || madvise(wiped, 64 * PAGE, MADV_WIPEONFORK) ||
		    mprotect(none, 64 * PAGE, PROT_NONE))
			die("madvise");
		if (mlock(locked, 64 * PAGE))
			say("note=nothing is locked");
		madvise(kept + 32 * PAGE, PAGE, MADV_GUARD_INSTALL);
	}
	for (size_t i = 0; i < count; i++) {
		struct part *part = &parts[i];

		part->pages = pages / count;
		part->start = map(NULL, part->pages * PAGE, rw, flags, -1, 0);
		part->round = 2;
		for (size_t at = 0; at < part->pages; at++)
			fill_page(part->start + at * PAGE, 1, at);
		pthread_create(&threads[i], NULL, writer, part);
	}
	pthread_create(&threads[count], NULL, watcher, NULL);
	struct rlimit most = { 1, 1 };
	if (!strcmp(how, "crowded") && (setrlimit(RLIMIT_NPROC, &most) || setresuid(54321, 54321, 54321)))
		die("a user of its own");
	ready();
	wait_for_term();
	for (size_t i = 0; i <= count; i++)
		pthread_join(threads[i], NULL);

	bool whole = !torn;
	for (size_t i = 0; i < count; i++)
		for (size_t at = 0; at < parts[i].pages; at++)
			whole &= page_is(parts[i].start + at * PAGE,
					 parts[i].round - (at >= parts[i].at), at);
	check(whole, "memory is of one moment", "it is torn");
	check(!seen, "no child that is not its own", "there was one");
	check(!sigchld, "no SIGCHLD", "there was one");
	int reaper = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &reaper, 0, 0, 0);
	check_equal("child subreaper", reaper, !strcmp(how, "subreaper"));
	if (special) {
		mprotect(none, 64 * PAGE, rw);
		check_pages("kept", kept, 32 * PAGE, 1);
		check_pages("wiped", wiped, 64 * PAGE, 2);
		check_pages("shared", shared, 64 * PAGE, 3);
		check_pages("locked", locked, 64 * PAGE, 4);
		check_pages("not accessible", none, 64 * PAGE, 5);
	}
	if (child) {
		kill(child, SIGTERM);
		check_equal("its own child", waitpid(child, NULL, __WCLONE), child);
	}
	finish();
}
