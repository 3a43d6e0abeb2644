/*
 * Pseudoterminals with both ends in the tree: modes, window size, what waits in either direction (lines, a typed
 * end of file, the beginning of a line), packet mode, lock, exclusive use, stopped output, slaves that are closed,
 * hung up or were never opened.
 */
#include "files.h"

#include <asm/termbits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct pty {
	int master, slave;
};

static int open_master(void)
{
	int unlock = 0;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock))
		die("/dev/ptmx");
	return master;
}

static int open_slave(int master, int flags)
{
	int slave = ioctl(master, TIOCGPTPEER, flags | O_NOCTTY);

	if (slave < 0)
		die("TIOCGPTPEER");
	return slave;
}

static struct pty open_pair(void)
{
	struct pty pty = { .master = open_master() };

	pty.slave = open_slave(pty.master, O_RDWR);
	return pty;
}

static struct termios2 modes(int fd)
{
	struct termios2 t;

	memset(&t, 0, sizeof(t));
	if (ioctl(fd, TCGETS2, &t))
		die("TCGETS2");
	return t;
}

static void set_modes(int fd, struct termios2 *t)
{
	if (ioctl(fd, TCSETS2, t))
		die("TCSETS2");
}

static int waiting(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("write");
}

/* Reads what one read(2) gives, and compares. */
static void gets_text(const char *name, int fd, const char *want)
{
	char got[8192];
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	ssize_t n = read(fd, got, sizeof(got) - 1);
	fcntl(fd, F_SETFL, flags);
	got[n < 0 ? 0 : n] = 0;
	check(n >= 0 && strcmp(got, want) == 0, name, "%zd (errno %d) \"%s\" instead of \"%s\"", n, errno, got, want);
}

static void gets_nothing(const char *name, int fd)
{
	char got[64];
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	errno = 0;
	ssize_t n = read(fd, got, sizeof(got));
	fcntl(fd, F_SETFL, flags);
	check(n < 0 && errno == EAGAIN, name, "%zd, errno %d", n, errno);
}

static char many[3001];

int main(void)
{
	int one = 1;

	subject_init();
	signal(SIGHUP, SIG_IGN);

	/* Lines, an end of file, the beginning of a line; and output, whose newlines have become two characters. */
	struct pty cooked = open_pair();
	struct winsize size = { 33, 77, 640, 480 };
	struct termios2 t = modes(cooked.slave);
	t.c_cc[VINTR] = 7;
	t.c_cc[VEOL] = '!';
	t.c_lflag &= ~ECHO;
	set_modes(cooked.slave, &t);
	ioctl(cooked.master, TIOCSWINSZ, &size);
	put(cooked.master, "first\nsecond\rsome!\004cut\004\026\004odd\nbegun");
	put(cooked.slave, "out\nput");
	ioctl(cooked.slave, TIOCEXCL);
	fchmod(cooked.slave, 0640);
	int readable = open_slave(cooked.master, O_RDONLY | O_NONBLOCK);

	/* Byte by byte, much of it, with characters that mean something in other modes. */
	struct pty raw = open_pair();
	t = modes(raw.slave);
	t.c_lflag = 0;
	t.c_iflag = 0;
	t.c_oflag = 0;
	set_modes(raw.slave, &t);
	memset(many, 'm', sizeof(many) - 1);
	memcpy(many, "\003\004\021\023\032\r\n\377", 8);
	put(raw.master, many);
	put(raw.slave, many);

	/* The reader gets packets, and the output is stopped by Ctrl-S. */
	struct pty packets = open_pair();
	ioctl(packets.master, TIOCPKT, &one);
	put(packets.slave, "packet");
	struct pty stopped = open_pair();
	put(stopped.slave, "before");
	put(stopped.master, "\023");
	while (waiting(stopped.slave, POLLOUT))
		sleep_ms(1);
	struct pty held = open_pair();
	ioctl(held.slave, TCXONC, TCOOFF);

	struct pty closed = open_pair();
	put(closed.slave, "last");
	close(closed.slave);
	struct pty hung = open_pair();
	close(hung.master);
	int locked = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	put(cooked.slave, "!");
	ready();
	wait_for_term();

	t = modes(cooked.slave);
	check_equal("cooked: VINTR", t.c_cc[VINTR], 7);
	check_equal("cooked: no echo", t.c_lflag & (ECHO | ICANON), ICANON);
	check_equal("cooked: speed", t.c_ospeed, 38400);
	struct winsize found = { 0 };
	ioctl(cooked.slave, TIOCGWINSZ, &found);
	check(memcmp(&found, &size, sizeof(size)) == 0, "cooked: window size", "%d x %d", found.ws_row, found.ws_col);
	struct stat info;
	fstat(cooked.slave, &info);
	check_equal("cooked: mode of the node", info.st_mode & 0777, 0640);
	int exclusive = 0;
	ioctl(cooked.slave, TIOCGEXCL, &exclusive);
	check_equal("cooked: exclusive", exclusive, 1);
	gets_text("cooked: output", cooked.master, "out\r\nput!");
	check_equal("cooked: the other opening", fcntl(readable, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_NONBLOCK);
	gets_text("cooked: first line", cooked.slave, "first\n");
	gets_text("cooked: second line", readable, "second\n");
	gets_text("cooked: line by its own end", cooked.slave, "some!");
	gets_text("cooked: end of file", cooked.slave, "");
	gets_text("cooked: line cut by the end of file", cooked.slave, "cut");
	gets_text("cooked: quoted character", cooked.slave, "\004odd\n");
	gets_nothing("cooked: begun", cooked.slave);
	put(cooked.master, "\177n line\n");
	gets_text("cooked: the rest of the line", cooked.slave, "begun line\n");

	gets_text("raw: input", raw.slave, many);
	gets_text("raw: output", raw.master, many);
	gets_nothing("raw: no more input", raw.slave);

	char packet[16] = { 0 };
	check_equal("packets: size", read(packets.master, packet, sizeof(packet)), 7);
	check(packet[0] == TIOCPKT_DATA && memcmp(packet + 1, "packet", 6) == 0, "packets: data", "%d", packet[0]);

	check_equal("stopped: nothing can be written", waiting(stopped.slave, POLLOUT) & POLLOUT, 0);
	gets_text("stopped: output", stopped.master, "before");
	put(stopped.master, "\021");
	for (int i = 0; i < 1000 && !waiting(stopped.slave, POLLOUT); i++)
		sleep_ms(1);
	check_equal("stopped: goes on by Ctrl-Q", waiting(stopped.slave, POLLOUT) & POLLOUT, POLLOUT);
	check_equal("held: nothing can be written", waiting(held.slave, POLLOUT) & POLLOUT, 0);
	ioctl(held.slave, TCXONC, TCOON);
	check_equal("held: goes on", waiting(held.slave, POLLOUT) & POLLOUT, POLLOUT);

	gets_text("closed: output", closed.master, "last");
	check_equal("closed: hung up", waiting(closed.master, POLLIN) & POLLHUP, POLLHUP);
	check(read(closed.master, packet, 1) < 0 && errno == EIO, "closed: nothing more", "errno %d", errno);

	check_equal("hung: end of file", read(hung.slave, packet, 1), 0);
	check(write(hung.slave, "x", 1) < 0 && errno == EIO, "hung: no output", "errno %d", errno);

	int lock = 0;
	ioctl(locked, TIOCGPTLCK, &lock);
	check_equal("locked: it is", lock, 1);
	check_equal("locked: not hung up", waiting(locked, POLLIN) & POLLHUP, 0);
	finish();
}
