/*
 * Uses a POSIX message queue that another process has made, or asks to be told of messages in one of its own.
 *
 * Usage: mqueue_user open|unlink|put NAME
 *        mqueue_user notify
 */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <mqueue.h>

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, ""), *name = arg(argc, argv, 2, "/stasis-notify");
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG };
	bool done;

	subject_init();
	if (!strcmp(what, "unlink")) {
		done = mq_unlink(name) == 0;
	} else if (!strcmp(what, "put")) {
		done = mq_send(mq_open(name, O_WRONLY), "more", 4, 7) == 0;
	} else if (!strcmp(what, "notify")) {
		mqd_t queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL);
		mq_unlink(name);
		done = mq_notify(queue, &event) == 0;
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
