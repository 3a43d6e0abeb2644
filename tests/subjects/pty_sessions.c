/*
 * Sessions with controlling terminals in the tree: the foreground group, who has the terminal (members that were born
 * before it was taken, and that have let go of it, do not), /dev/tty, a job in the background, Ctrl-C and the hang-up.
 */
#include "files.h"

#include <sys/ioctl.h>
#include <termios.h>

static void tell(int fd, char what)
{
	if (write(fd, &what, 1) != 1)
		die("tell");
}

static void await(int fd)
{
	char what;

	if (read(fd, &what, 1) != 1)
		die("await");
}

static volatile sig_atomic_t interrupted, hung_up, resized;

static void on_signal(int sig)
{
	if (sig == SIGINT)
		interrupted++;
	else if (sig == SIGHUP)
		hung_up++;
	else
		resized++;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	sigaction(SIGWINCH, &act, NULL);
}

static bool within(volatile sig_atomic_t *count)
{
	for (int i = 0; i < 2000 && !*count; i++)
		sleep_ms(1);
	return *count == 1;
}

/* The terminal of the calling task, as /proc/self/stat has it. */
static int own_terminal(void)
{
	char text[512], *at;
	int tty = -1;
	FILE *f = fopen("/proc/self/stat", "r");

	if (f && fgets(text, sizeof(text), f) && (at = strrchr(text, ')')))
		sscanf(at + 2, "%*c %*d %*d %*d %d", &tty);
	if (f)
		fclose(f);
	return tty;
}

/* A member of the session: `foreground` says whether its group may read. */
static void member(int up, const char *name, bool foreground, int terminal)
{
	catch_signals();
	if (!foreground)
		signal(SIGINT, SIG_DFL);
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	tell(up, 'm');
	wait_for_term();

	char with[64];
	snprintf(with, sizeof(with), "%s: controlling terminal", name);
	check_equal(with, own_terminal(), terminal);
	snprintf(with, sizeof(with), "%s: foreground", name);
	check_equal(with, tcgetpgrp(tty) == getpgrp(), foreground);
	if (foreground) {
		snprintf(with, sizeof(with), "%s: Ctrl-C", name);
		check(within(&interrupted), with, "%d times", (int)interrupted);
		snprintf(with, sizeof(with), "%s: SIGWINCH", name);
		check(within(&resized), with, "%d times", (int)resized);
	}
	child_finish();
}

static __attribute__((noreturn)) void lead(int master, int up)
{
	int ready[2];

	if (setsid() < 0 || pipe(ready))
		die("setsid, pipe");
	pid_t early = fork_child();
	if (early == 0) {
		close(master);
		tell(ready[1], 'e');
		wait_for_term();
		check_equal("early: no terminal", own_terminal(), 0);
		child_finish();
	}
	await(ready[0]);
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0))
		die("TIOCSCTTY");
	close(master);
	int terminal = own_terminal();
	signal(SIGTTOU, SIG_IGN);
	pid_t front = fork_child();
	if (front == 0) {
		setpgid(0, 0);
		member(ready[1], "front", true, terminal);
	}
	await(ready[0]);
	tcsetpgrp(slave, front);
	pid_t back = fork_child();
	if (back == 0) {
		setpgid(0, 0);
		member(ready[1], "back", false, terminal);
	}
	await(ready[0]);
	pid_t freed = fork_child();
	if (freed == 0) {
		if (ioctl(slave, TIOCNOTTY, 0))
			die("TIOCNOTTY");
		tell(ready[1], 'f');
		wait_for_term();
		check_equal("freed: no terminal", own_terminal(), 0);
		child_finish();
	}
	await(ready[0]);
	catch_signals();
	tell(up, 'l');
	wait_for_term();

	check_equal("leader: controlling terminal", own_terminal(), terminal);
	check_equal("leader: session of the terminal", tcgetsid(slave), getpid());
	check_equal("leader: foreground group", tcgetpgrp(slave), front);
	end_child("front", front);
	end_child("back", back);
	end_child("early", early);
	end_child("freed", freed);
	check(!interrupted, "leader: no Ctrl-C", "it has come");
	tell(up, 'c');
	check(within(&hung_up), "leader: hang-up", "%d times", (int)hung_up);
	child_finish();
}

int main(void)
{
	struct winsize size = { 24, 80, 0, 0 };
	int up[2], unlock = 0;

	subject_init();
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (pipe(up) || ioctl(master, TIOCSPTLCK, &unlock) || ioctl(master, TIOCSWINSZ, &size))
		die("pipe, pty");
	pid_t leader = fork_child();
	if (leader == 0)
		lead(master, up[1]);
	await(up[0]);
	ready();
	wait_for_term();

	if (write(master, "\003", 1) != 1)
		die("write");
	size.ws_row = 25;
	ioctl(master, TIOCSWINSZ, &size);
	kill(leader, SIGTERM);
	await(up[0]);
	close(master);
	end_child("leader", leader);
	finish();
}
