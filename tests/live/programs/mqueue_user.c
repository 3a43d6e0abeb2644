/*
 * Uses a POSIX message queue that another process has made.
 *
 * Usage: mqueue_user open|unlink|put NAME
 */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <mqueue.h>

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, ""), *name = arg(argc, argv, 2, "");
	bool done;

	subject_init();
	if (!strcmp(what, "unlink")) {
		done = mq_unlink(name) == 0;
	} else if (!strcmp(what, "put")) {
		done = mq_send(mq_open(name, O_WRONLY), "more", 4, 7) == 0;
	} else {
		done = mq_open(name, O_RDWR) >= 0;
	}
	if (!done)
		die("%s %s", what, name);
	ready();
	wait_for_term();
	check(done, what, "it was not done");
	finish();
}
