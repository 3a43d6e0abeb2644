/* signalfd: its mask (another than the blocked signals) and flags, and pending signals that it reads. */
#include "files.h"

#include <sys/signalfd.h>

int main(void)
{
	struct signalfd_siginfo info;
	sigset_t both, one;
	char text[64] = "";

	subject_init();
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGRTMIN + 7);
	sigaddset(&both, SIGUSR2);
	sigprocmask(SIG_BLOCK, &both, NULL);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigaddset(&one, SIGRTMIN + 7);
	int fd = signalfd(-1, &one, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd");
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN + 7, (union sigval){ .sival_int = 77 });
	kill(getpid(), SIGUSR2);
	ready();
	wait_for_term();
	check_equal("flags", fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	check_equal("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	fdinfo(fd, "sigmask", text, sizeof(text));
	check(strtoul(text, NULL, 16) == (1UL << (SIGUSR1 - 1) | 1UL << (SIGRTMIN + 7 - 1)), "mask", "%s", text);
	check(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1 &&
		      info.ssi_pid == (uint32_t)getpid(),
	      "a pending signal", "signal %d", info.ssi_signo);
	check(read(fd, &info, sizeof(info)) == sizeof(info) && (int)info.ssi_signo == SIGRTMIN + 7 &&
		      info.ssi_int == 77,
	      "a pending signal with a value", "signal %d, %d", info.ssi_signo, info.ssi_int);
	check(read(fd, &info, sizeof(info)) == -1 && errno == EAGAIN, "no other", "signal %d", info.ssi_signo);
	kill(getpid(), SIGUSR1);
	check(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1, "a new signal",
	      "errno %d", errno);
	finish();
}
