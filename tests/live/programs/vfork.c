/*
 * A thread that waits in vfork(2) for a child that takes its time: the child waits for a file to appear.
 * Usage: vfork FILE [thread]   thread: another thread than the first waits, the first one works on
 */
#include "../../subjects/subject.h"

#include <pthread.h>

static const char *file;
static volatile pid_t child;
static volatile bool back;

static void *forker(void *unused)
{
	pid_t pid = vfork();
	if (pid == 0) {
		child = getpid();
		struct timespec t = { 0, 2000000 };
		while (access(file, F_OK))
			nanosleep(&t, NULL);
		_exit(5);
	}
	int status = 0;
	check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5, "the vfork child",
	      "status %#x", status);
	back = true;
	return unused;
}

static void *announcer(void *unused)
{
	while (!child)
		sleep_ms(1);
	fact("child", "%d", child);
	ready();
	wait_for_term();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	bool other = argc > 2;

	subject_init();
	file = arg(argc, argv, 1, "/nonexistent");
	if (pthread_create(&thread, NULL, other ? forker : announcer, NULL))
		die("pthread_create");
	other ? announcer(NULL) : forker(NULL);
	pthread_join(thread, NULL);
	check(back, "vfork returned", "-");
	finish();
}
