/* Has the other end of its child's pipe and a master that it has, too, and a first thread that has ended. Its fact `child` is the pid of that. */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <pthread.h>

static void *hold(void *child)
{
	char state[256] = "";

	while (!strstr(state, "State:\tZ")) {
		FILE *status = fopen("/proc/self/status", "r");

		if (!status)
			die("status");
		state[fread(state, 1, sizeof(state) - 1, status)] = 0;
		fclose(status);
	}
	fact("child", "%d", *(pid_t *)child);
	ready();
	wait_for_term();
	check(true, "came to its end", "-");
	kill(*(pid_t *)child, SIGKILL);
	finish();
	return NULL;
}

int main(void)
{
	static pid_t child;
	pthread_t thread;
	int ends[2];

	subject_init();
	if (pipe(ends))
		die("pipe");
	if (open("/dev/ptmx", O_RDWR | O_NOCTTY) < 0)
		die("/dev/ptmx");
	child = fork_child();
	if (child == 0) {
		close(ends[1]);
		setsid();
		for (;;)
			pause();
	}
	close(ends[0]);
	if (pthread_create(&thread, NULL, hold, &child))
		die("pthread_create");
	pthread_exit(NULL);
}
