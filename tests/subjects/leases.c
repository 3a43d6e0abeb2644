/*
 * leases: for reading and for writing, whom they tell, and such as are being taken back.
 *
 * Usage: leases [breaking]
 */
#include "files.h"

static volatile int told, told_fd;

static void on_break(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	told++;
	told_fd = info->si_fd;
}

static int make(const char *name, int flags)
{
	close(open(name, O_CREAT | O_WRONLY, 0600));
	int fd = open(name, flags);

	if (fd < 0)
		die("%s", name);
	return fd;
}

static int lease(int fd, int type)
{
	if (fcntl(fd, F_SETLEASE, type)) {
		if (errno == EINVAL)
			unsupported("no leases on this file system");
		die("F_SETLEASE");
	}
	return fd;
}

/* What a child gets that opens a file and does not wait: an errno, or 0. */
static int opens(const char *name, int flags)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(open(name, flags | O_NONBLOCK) < 0 ? errno : 0);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	return WEXITSTATUS(status);
}

/* Opens a file and waits for it. */
static pid_t opener(const char *name)
{
	pid_t child = fork_child();

	if (child)
		return child;
	check(open(name, O_WRONLY) >= 0, "opener: gets it", "errno %d", errno);
	wait_for_term();
	child_finish();
}

static void whole(void)
{
	int reading = lease(make("reading", O_RDONLY), F_RDLCK), writing = lease(make("writing", O_RDWR), F_WRLCK);
	int odd = lease(make("odd", O_RDONLY), F_WRLCK), nobody = lease(make("nobody", O_RDONLY), F_RDLCK);

	if (fcntl(reading, F_SETSIG, SIGRTMIN) || fcntl(writing, F_SETSIG, SIGRTMIN) || fcntl(nobody, F_SETOWN, 0))
		die("fcntl");
	ready();
	wait_for_term();
	check_equal("reading", fcntl(reading, F_GETLEASE), F_RDLCK);
	check_equal("writing", fcntl(writing, F_GETLEASE), F_WRLCK);
	check_equal("for writing, of a reader", fcntl(odd, F_GETLEASE), F_WRLCK);
	check_equal("owner", fcntl(reading, F_GETOWN), getpid());
	check_equal("no owner", fcntl(nobody, F_GETOWN), 0);
	check_equal("nobody was told", told, 0);
	check_equal("a reader comes", opens("reading", O_RDONLY), 0);
	check_equal("a writer comes", opens("reading", O_WRONLY), EWOULDBLOCK);
	check_equal("it was told", told, 1);
	check_equal("of which", told_fd, reading);
	check_equal("a reader comes to the writer", opens("writing", O_RDONLY), EWOULDBLOCK);
	check_equal("it was told again", told, 2);
	check_equal("what may remain", fcntl(writing, F_GETLEASE), F_RDLCK);
}

static void breaking(void)
{
	int writer = lease(make("writer", O_RDWR), F_WRLCK), reader = lease(make("reader", O_RDONLY), F_RDLCK);
	int down = lease(make("down", O_RDONLY), F_WRLCK), awaited = lease(make("awaited", O_RDONLY), F_RDLCK);
	char text[200];

	fcntl(writer, F_SETSIG, SIGRTMIN);
	fcntl(reader, F_SETSIG, SIGRTMIN);
	fcntl(down, F_SETSIG, SIGRTMIN);
	fcntl(awaited, F_SETSIG, SIGRTMIN);
	if (opens("writer", O_WRONLY) != EWOULDBLOCK || opens("reader", O_WRONLY) != EWOULDBLOCK ||
	    opens("down", O_RDONLY) != EWOULDBLOCK)
		die("it can be opened");
	pid_t child = opener("awaited");
	while (told < 4)
		sleep_ms(1);
	ready();
	wait_for_term();
	check_equal("writer", fcntl(writer, F_GETLEASE), F_UNLCK);
	check_equal("reader", fcntl(reader, F_GETLEASE), F_UNLCK);
	check_equal("down", fcntl(down, F_GETLEASE), F_RDLCK);
	check_equal("awaited", fcntl(awaited, F_GETLEASE), F_UNLCK);
	check(fdinfo(reader, "lock", text, sizeof(text)) && strstr(text, "BREAKING"), "it is being broken", "%s", text);
	check_equal("nobody was told twice", told, 4);
	check_equal("owner", fcntl(writer, F_GETOWN), getpid());
	check_equal("signal", fcntl(down, F_GETSIG), SIGRTMIN);
	check_equal("a writer waits for readers", opens("reader", O_WRONLY), EWOULDBLOCK);
	check_equal("a reader does not", opens("reader", O_RDONLY), 0);
	check_equal("a reader waits for the writer", opens("down", O_RDONLY), EWOULDBLOCK);
	check_equal("downgrade", fcntl(down, F_SETLEASE, F_RDLCK), 0);
	check_equal("then not", opens("down", O_RDONLY), 0);
	check_equal("release", fcntl(writer, F_SETLEASE, F_UNLCK), 0);
	check_equal("then anybody comes", opens("writer", O_WRONLY), 0);
	check_equal("release of what is awaited", fcntl(awaited, F_SETLEASE, F_UNLCK), 0);
	end_child("opener", child);
	check_equal("in the end nobody was told twice", told, 4);
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_sigaction = on_break, .sa_flags = SA_SIGINFO | SA_RESTART };

	subject_init();
	sigaction(SIGIO, &act, NULL);
	sigaction(SIGRTMIN, &act, NULL);
	if (!strcmp(arg(argc, argv, 1, ""), "breaking"))
		breaking();
	else
		whole();
	finish();
}
