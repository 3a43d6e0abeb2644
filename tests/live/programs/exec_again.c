/*
 * Executes itself again and again, as fast as it can, and counts the times: in its arguments, and in a file whose
 * descriptor stays open. Each of its lives looks whether the two agree and whether it is alone. Some threads do
 * nothing but to be ended by the next one.
 * Usage: exec_again first|thread|child [COUNT FD]
 *   first, thread: which thread executes; child: a thread of a child does
 */
#include "../../subjects/subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>

#define THREADS 3

static const char *who;
static long count;
static int fd;

static void *wait_long(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *exec_next(void *unused)
{
	char number[24], descriptor[12];
	char *next[] = { "exec_again", (char *)who, number, descriptor, NULL };
	long reached = count + 1;

	snprintf(number, sizeof(number), "%ld", reached);
	snprintf(descriptor, sizeof(descriptor), "%d", fd);
	if (pwrite(fd, &reached, sizeof(reached), 0) != sizeof(reached))
		die("pwrite");
	execv("/proc/self/exe", next);
	die("execv");
	return unused;
}

static int count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int found = 0;

	if (!tasks)
		die("opendir");
	for (struct dirent *one = readdir(tasks); one; one = readdir(tasks))
		found += one->d_name[0] != '.';
	closedir(tasks);
	return found;
}

/* What a life must find at its beginning. */
static void look_around(void)
{
	long reached = -1;
	sigset_t mask;

	if (pread(fd, &reached, sizeof(reached), 0) != sizeof(reached) || reached != count)
		check(false, "no life is lost or lived twice", "%ld instead of %ld", reached, count);
	if (getpid() != own_tid() || count_threads() != 1)
		check(false, "it begins alone", "%d, %d, %d", getpid(), own_tid(), count_threads());
	sigprocmask(SIG_BLOCK, NULL, &mask);
	if (sigismember(&mask, SIGTERM) != 1 || sigismember(&mask, SIGURG) == 1)
		check(false, "the mask is inherited", "it is not");
}

static bool is_asked_to_end(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGTERM) == 1;
}

/* The parent of a child that executes. */
static void wait_for_child(void)
{
	pid_t child = fork_child();

	if (child == 0)
		return;
	ready();
	wait_for_term();
	end_child("the child that executes", child);
	finish();
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t term;

	who = arg(argc, argv, 1, "thread");
	bool is_child = !strcmp(who, "child");
	if (argc < 4) {
		fd = open("count", O_RDWR | O_CREAT, 0600);
		if (fd < 0 || pwrite(fd, &count, sizeof(count), 0) != sizeof(count))
			die("count");
		subject_init();
		if (is_child)
			wait_for_child();
		else
			ready();
		/* SIGTERM waits, and is looked at between two programs. */
		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
	} else {
		count = atol(argv[2]);
		fd = atoi(argv[3]);
	}
	look_around();
	if (failures || is_asked_to_end()) {
		check(count > 0, "it lived more than once", "%ld", count);
		if (is_child)
			child_finish();
		finish();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, wait_long, NULL);
	if (!strcmp(who, "first"))
		exec_next(NULL);
	pthread_create(&thread, NULL, exec_next, NULL);
	wait_long(NULL);
}
