/*
 * Named pipes: with data, opened for reading and writing at once, for reading only by another task,
 * opened by name again after a restore.
 */
#include "files.h"

#include <poll.h>

/* Whether poll(2) says that a writer has left. */
static bool hung_up(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

int main(void)
{
	unsigned char data[4096];

	subject_init();
	signal(SIGPIPE, SIG_IGN);
	if (mkfifo("both", 0600) || mkfifo("one way", 0644) || mkfifo("lonely", 0600) || mkfifo("left", 0600))
		die("mkfifo");
	int both = open("both", O_RDWR | O_CLOEXEC);
	fill_bytes(data, 700, 1);
	if (write(both, data, 700) != 700)
		die("write");
	int lonely = open("lonely", O_RDONLY | O_NONBLOCK); /* without a writer */
	fcntl(lonely, F_SETPIPE_SZ, 8192);
	int left = open("left", O_RDONLY | O_NONBLOCK);
	close(open("left", O_WRONLY));
	fcntl(left, F_SETFL, 0);
	check(!hung_up(lonely) && hung_up(left), "a writer has left one of them", "or not");
	pid_t child = fork_child();
	if (child == 0) {
		close(both);
		close(lonely);
		close(left);
		int r = open("one way", O_RDONLY);
		wait_for_term();
		check(read(r, data, 300) == 300 && bytes_are(data, 300, 2), "child: data", "other bytes");
		check(read(r, data, 1) == 1 && data[0] == 'q', "child: later data", "other");
		check(read(r, data, 1) == 0, "child: end", "another writer is there");
		child_finish();
	}
	int w = open("one way", O_WRONLY);
	fill_bytes(data, 300, 2);
	if (write(w, data, 300) != 300)
		die("write");
	fact("child", "%d", child);
	ready();
	wait_for_term();

	check(read_now(both, data, sizeof(data)) == 700 && bytes_are(data, 700, 1), "both: data", "other bytes");
	check_equal("both: flags", fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	check_equal("both: close-on-exec", fcntl(both, F_GETFD), FD_CLOEXEC);
	check(!hung_up(lonely), "lonely: no writer has come", "poll says that one has left");
	check(hung_up(left), "left: the writer has left", "poll does not say so");
	check_equal("left: flags", fcntl(left, F_GETFL) & O_NONBLOCK, 0);
	check_equal("lonely: size", fcntl(lonely, F_GETPIPE_SZ), 8192);
	check_equal("lonely: no writer", read(lonely, data, 1), 0);
	check_equal("lonely: flags", fcntl(lonely, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	int late = open("lonely", O_WRONLY | O_NONBLOCK);
	check(late >= 0 && write(late, "l", 1) == 1 && read(lonely, data, 1) == 1 && data[0] == 'l',
	      "lonely: it is the file of that name", "errno %d", errno);
	close(late);
	check(hung_up(lonely), "lonely: its first writer has left", "poll does not say so");
	kill(child, SIGTERM);
	if (write(w, "q", 1) != 1)
		die("write");
	close(w);
	end_child("child", child);
	finish();
}
