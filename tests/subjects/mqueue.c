/*
 * POSIX message queues: one with messages of several priorities, open twice in parent and child, one that is full, one
 * that is empty and whose name was removed, and one with messages whose name was removed.
 */
#include "files.h"

#include <mqueue.h>
#include <sys/stat.h>

static char named[64], gone[64];

static void put(mqd_t queue, const char *text, unsigned priority)
{
	if (mq_send(queue, text, strlen(text), priority))
		die("mq_send");
}

static void check_got(mqd_t queue, const char *text, unsigned priority)
{
	char got[65];
	unsigned at = 0;
	ssize_t size = mq_receive(queue, got, 64, &at);

	check(size == (ssize_t)strlen(text) && !memcmp(got, text, size) && at == priority, text,
	      "%zd bytes of priority %u, errno %d", size, at, errno);
}

static mqd_t make(const char *name, int flags, long count)
{
	struct mq_attr attr = { .mq_maxmsg = count, .mq_msgsize = 64 };
	mqd_t queue = mq_open(name, O_CREAT | O_EXCL | flags, 0640, &attr);

	if (queue < 0) {
		if (errno == ENOSYS)
			unsupported("no POSIX message queues");
		die("mq_open %s", name);
	}
	return queue;
}

int main(void)
{
	struct mq_attr attr;
	struct stat info;

	subject_init();
	snprintf(named, sizeof(named), "/stasis-%d", getpid());
	snprintf(gone, sizeof(gone), "/stasis-gone-%d", getpid());
	fact("name", "%s", named);
	mqd_t queue = make(named, O_WRONLY, 8);
	mqd_t reader = mq_open(named, O_RDONLY | O_NONBLOCK);
	mqd_t empty = make(gone, O_RDWR | O_NONBLOCK, 2);
	mq_unlink(gone);
	mqd_t full = make(gone, O_RDWR | O_NONBLOCK, 2);
	mq_unlink(gone);
	put(queue, "low", 1);
	put(queue, "high", 32000);
	put(queue, "low, later", 1);
	put(queue, "", 0);
	put(full, "one", 5);
	put(full, "two", 5);
	pid_t child = fork_child();
	if (child == 0) {
		wait_for_term();
		put(queue, "of the child", 2);
		child_finish();
	}
	ready();
	wait_for_term();
	check_equal("attributes", mq_getattr(reader, &attr), 0);
	check(attr.mq_flags == O_NONBLOCK && attr.mq_maxmsg == 8 && attr.mq_msgsize == 64 && attr.mq_curmsgs == 4,
	      "as they were", "%ld %ld %ld %ld", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
	check_equal("flags of the writer", fcntl(queue, F_GETFL), O_WRONLY);
	check(!fstat(queue, &info) && (info.st_mode & 07777) == 0640 && info.st_uid == geteuid(), "permissions",
	      "%o", info.st_mode);
	check_equal("close-on-exec", fcntl(queue, F_GETFD), FD_CLOEXEC);
	end_child("child", child);
	check_got(reader, "high", 32000);
	check_got(reader, "of the child", 2);
	check_got(reader, "low", 1);
	check_got(reader, "low, later", 1);
	check_got(reader, "", 0);
	check(mq_receive(empty, (char[64]){ 0 }, 64, NULL) == -1 && errno == EAGAIN, "empty", "errno %d", errno);
	check(mq_send(full, "three", 5, 1) == -1 && errno == EAGAIN, "full", "errno %d", errno);
	check_got(full, "one", 5);
	check_got(full, "two", 5);
	mqd_t again = mq_open(named, O_RDWR);
	check(again >= 0, "it has its name", "errno %d", errno);
	check(mq_open(gone, O_RDWR) < 0 && errno == ENOENT, "the others have none", "errno %d", errno);
	mq_unlink(named);
	finish();
}
