/*
 * read() and write() on a pipe of one's own that a freeze interrupts (ERESTARTSYS).
 * Usage: restart_read [read|write]   write: into a full pipe
 */
#include "restart.h"

#include <fcntl.h>

static int ends[2];
static char byte;

static long call_read(void)
{
	return syscall(SYS_read, ends[0], &byte, 1);
}

static long call_write(void)
{
	return syscall(SYS_write, ends[1], "y", 1);
}

int main(int argc, char **argv)
{
	bool writes = !strcmp(arg(argc, argv, 1, "read"), "write");
	static char page[4096];

	subject_init();
	if (pipe(ends))
		die("pipe");
	int size = fcntl(ends[1], F_GETPIPE_SZ);
	memset(page, 'z', sizeof(page));
	for (int i = 0; writes && i < size; i += sizeof(page))
		if (write(ends[1], page, sizeof(page)) != sizeof(page))
			die("write");
	pthread_t thread = start_call(writes ? call_write : call_read, writes ? SYS_write : SYS_read);
	ready();
	wait_for_term();
	check_blocked();
	if (writes) {
		for (int i = 0; i < size; i += sizeof(page))
			if (read(ends[0], page, sizeof(page)) != sizeof(page) || page[0] != 'z' ||
			    memcmp(page, page + 1, sizeof(page) - 1))
				check(false, "contents", "the pipe's data at %d changed", i);
		check_result(thread, 1);
		check(read(ends[0], &byte, 1) == 1 && byte == 'y', "the byte", "%d", byte);
	} else {
		if (write(ends[1], "x", 1) != 1)
			die("write");
		check_result(thread, 1);
		check_equal("the byte", byte, 'x');
	}
	/* Once and no more. */
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	check(read(ends[0], &byte, 1) == -1 && errno == EAGAIN, "nothing else in the pipe", "errno %d",
	      errno);
	finish();
}
