/*
 * Pseudoterminals that hold all that they can: output by writes of several sizes, whose writers would block, flowing and
 * stopped in both ways; much typed input, the beginning of a long line, and one master that blocks.
 */
#include "files.h"

#include <asm/termbits.h>
#include <poll.h>
#include <sys/ioctl.h>

#define MOST 65536

struct pty {
	int master, slave;
	long count;
};

static struct pty open_pair(int raw)
{
	struct pty pty = { .master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK) };
	struct termios2 t;
	int unlock = 0;

	if (pty.master < 0 || ioctl(pty.master, TIOCSPTLCK, &unlock))
		die("/dev/ptmx");
	pty.slave = ioctl(pty.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (pty.slave < 0)
		die("TIOCGPTPEER");
	ioctl(pty.slave, TCGETS2, &t);
	if (raw)
		t.c_lflag = t.c_iflag = t.c_oflag = 0;
	t.c_lflag &= ~ECHO;
	ioctl(pty.slave, TCSETS2, &t);
	return pty;
}

/* The byte at a place; of text no newline is among them. */
static char letter_at(long at)
{
	return 'A' + (at * 7 + at / 251) % 57;
}

/* Writes until nothing has gone in for a while. */
static long fill(int fd, size_t size, long most)
{
	static char bytes[MOST];
	long total = 0;

	for (int idle = 0; idle < 30 && total < most;) {
		size_t length = size < (size_t)(most - total) ? size : (size_t)(most - total);

		for (size_t i = 0; i < length; i++)
			bytes[i] = letter_at(total + i);
		ssize_t n = write(fd, bytes, length);
		if (n > 0) {
			total += n;
			idle = 0;
		} else {
			sleep_ms(1);
			idle++;
		}
	}
	return total;
}

static void gets_all(const char *name, int fd, long want)
{
	static char bytes[MOST];
	long total = 0, wrong = 0;

	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	for (int idle = 0; idle < 30;) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n <= 0) {
			sleep_ms(1);
			idle++;
			continue;
		}
		for (ssize_t i = 0; i < n; i++)
			wrong += bytes[i] != letter_at(total + i);
		total += n;
		idle = 0;
	}
	check(total == want && wrong == 0, name, "%ld bytes instead of %ld, %ld of them others", total, want, wrong);
}

static int takes(int slave)
{
	struct pollfd p = { slave, POLLOUT, 0 };

	return poll(&p, 1, 0) == 1;
}

int main(void)
{
	static const int sizes[] = { 2, 255, 512, 1792, MOST };
	struct pty full[5];

	subject_init();
	for (int i = 0; i < 5; i++) {
		full[i] = open_pair(1);
		full[i].count = fill(full[i].slave, sizes[i], MOST);
	}
	struct pty some = open_pair(1);
	some.count = fill(some.slave, 100, 6000);
	struct pty held = open_pair(1);
	held.count = fill(held.slave, 100, 6000);
	ioctl(held.slave, TCXONC, TCOOFF);
	struct pty stopped = open_pair(0);
	stopped.count = fill(stopped.slave, 64, MOST);
	check_equal("stopped: by Ctrl-S", write(stopped.master, "\023", 1), 1);
	struct pty typed = open_pair(1);
	typed.count = fill(typed.master, 94, 4094);
	fcntl(typed.master, F_SETFL, O_RDWR);
	struct pty begun = open_pair(0);
	begun.count = fill(begun.master, 90, 4000);
	fcntl(begun.master, F_SETFL, O_RDWR);
	sleep_ms(20);
	ready();
	wait_for_term();

	for (int i = 0; i < 5; i++) {
		char name[40];

		snprintf(name, sizeof(name), "full by writes of %d", sizes[i]);
		gets_all(name, full[i].master, full[i].count);
	}
	gets_all("some", some.master, some.count);
	check_equal("held: takes nothing", takes(held.slave), 0);
	gets_all("held", held.master, held.count);
	check_equal("held: takes nothing when it is empty", takes(held.slave), 0);
	ioctl(held.slave, TCXONC, TCOON);
	check_equal("held: goes on", takes(held.slave), 1);
	gets_all("stopped", stopped.master, stopped.count);
	check_equal("stopped: takes nothing", takes(stopped.slave), 0);
	check_equal("stopped: Ctrl-Q", write(stopped.master, "\021", 1), 1);
	for (int i = 0; i < 1000 && !takes(stopped.slave); i++)
		sleep_ms(1);
	check_equal("stopped: goes on", takes(stopped.slave), 1);
	gets_all("typed", typed.slave, typed.count);
	check_equal("begun: no line yet", read(begun.slave, full, 1), -1);
	check_equal("begun: it ends", write(begun.master, &(char){ letter_at(4000) }, 1), 1);
	check_equal("begun: it ends", write(begun.master, "\n", 1), 1);
	sleep_ms(50);
	char line[4096] = { 0 };
	check_equal("begun", read(begun.slave, line, sizeof(line)), 4002);
	long wrong = 0;
	for (int i = 0; i < 4001; i++)
		wrong += line[i] != letter_at(i);
	check_equal("begun: bytes", wrong, 0);
	finish();
}
