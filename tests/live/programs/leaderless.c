/* Its first thread ends; two others go on, and one of them gives the verdict. */
#include "../../subjects/subject.h"

#include <pthread.h>

static void *wait_long(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *go_on(void *unused)
{
	char state[256] = "";

	while (!strstr(state, "State:\tZ")) {
		FILE *status = fopen("/proc/self/status", "r");

		if (!status)
			die("status");
		state[fread(state, 1, sizeof(state) - 1, status)] = 0;
		fclose(status);
	}
	ready();
	wait_for_term();
	check(true, "came to its end", "-");
	finish();
	return unused;
}

int main(void)
{
	pthread_t thread;

	subject_init();
	pthread_create(&thread, NULL, wait_long, NULL);
	pthread_create(&thread, NULL, go_on, NULL);
	pthread_exit(NULL);
}
