/* Threads that make their successor and end at once: there are always some, and never the same. */
#include "../../subjects/subject.h"

#include <pthread.h>

static pthread_attr_t attributes;

static void *relay(void *unused)
{
	pthread_t next;
	if (!term_requested)
		while (pthread_create(&next, &attributes, relay, NULL))
			;
	return unused;
}

int main(void)
{
	pthread_t first;

	subject_init();
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; i < 2; i++)
		pthread_create(&first, &attributes, relay, NULL);
	ready();
	wait_for_term();
	check(true, "came to its end", "-");
	finish();
}
