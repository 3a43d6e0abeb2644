/* Parts of the mixed subject that are threads which sit in a call, until the task that made them wakes them. */
#ifndef MIXED_WAITS_H
#define MIXED_WAITS_H

#include "mixed_descriptors.h"
#include "mixed_tasks.h"

#include <poll.h>
#include <sys/select.h>

/* By part: what a futex waits for. It is private memory of the process. */
static volatile unsigned wait_word[MAX_PARTS];

static inline bool by_signal(const struct part *p)
{
	return has(p, "pause") || has(p, "suspend") || has(p, "sleep") || has(p, "until") || has(p, "sigwait");
}

/* Makes the call until it returns as it should. */
static inline void wait_once(const struct part *p)
{
	int in = FD(p->id, 0);
	struct pollfd poll_in = { .fd = in, .events = POLLIN };
	struct timespec long_time = { 1000, 5000 }, rest = { -1, 0 };
	struct epoll_event event;
	long result;
	sigset_t set;
	char byte;
	fd_set fds;

	for (;;) {
		rest.tv_sec = -1;
		if (has(p, "pollms")) {
			result = poll(&poll_in, 1, 1000000);
		} else if (has(p, "poll")) {
			result = poll(&poll_in, 1, -1);
		} else if (has(p, "ppoll")) {
			sigfillset(&set);
			sigdelset(&set, SIGRTMIN + 14);
			result = ppoll(&poll_in, 1, &long_time, &set);
		} else if (has(p, "select")) {
			FD_ZERO(&fds);
			FD_SET(in, &fds);
			result = select(in + 1, &fds, NULL, NULL, NULL);
		} else if (has(p, "epoll")) {
			result = epoll_wait(FD(p->id, 2), &event, 1, has(p, "limit") ? 1000000 : -1);
		} else if (has(p, "futex")) {
			unsigned was = wait_word[p->id];
			if (was & 1) {
				wait_word[p->id]++;
				result = 1;
			} else {
				result = futex(&wait_word[p->id], FUTEX_WAIT_PRIVATE, was, has(p, "limit") ? &long_time : NULL);
				if (result < 0 && errno == ETIMEDOUT)
					bad(p, "the futex's time is over already");
				continue;
			}
		} else if (has(p, "pause")) {
			result = pause() < 0 && errno == EINTR;
		} else if (has(p, "suspend")) {
			sigfillset(&set);
			sigdelset(&set, SIGRTMIN + 14);
			result = sigsuspend(&set) < 0 && errno == EINTR;
		} else if (has(p, "sigwait")) {
			sigemptyset(&set);
			sigaddset(&set, SIGRTMIN + 14);
			result = sigwaitinfo(&set, NULL);
			if (result < 0 && errno == EINTR)
				continue;
		} else if (has(p, "sleep")) {
			result = nanosleep(&long_time, &rest);
			if (result < 0 && errno == EINTR && rest.tv_sec >= 0 && rest.tv_sec <= 1000)
				result = 1;
		} else if (has(p, "until")) {
			struct timespec then;
			clock_gettime(CLOCK_MONOTONIC, &then);
			then.tv_sec += 1000;
			result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR;
		} else if (has(p, "write")) {
			/* The pipe is full: there is room when somebody reads. */
			result = write(FD(p->id, 1), "w", 1);
			if (result == 1)
				return;
		} else {
			result = read(in, &byte, 1);
			if (result == 1)
				return;
		}
		if (result > 0)
			break;
		if (result == 0 || errno != EINTR) {
			bad(p, "the call gives %ld, errno %d", result, errno);
			return;
		}
	}
	if (!by_signal(p) && !has(p, "futex") && read(in, &byte, 1) != 1)
		bad(p, "woken by nothing");
}

static inline void *wait_main(void *arg)
{
	const struct part *p = arg;
	sigset_t set;

	if (has(p, "sigwait")) {
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + 14);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	common->pid[p->id] = getpid();
	common->tid[p->id] = own_tid();
	for (;;) {
		wait_once(p);
		__atomic_add_fetch(&common->state[p->id][0], 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static inline void wait_make(const struct part *p)
{
	struct sigaction action = { .sa_handler = handle_quietly };
	struct epoll_event event = { .events = EPOLLIN };
	int ends[2];

	sigaction(SIGRTMIN + 14, &action, NULL);
	if (has(p, "socket") ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends))
		die("pipe");
	put(p, 0, ends[0]);
	put(p, 1, ends[1]);
	if (has(p, "epoll")) {
		put(p, 2, epoll_create1(0));
		epoll_ctl(FD(p->id, 2), EPOLL_CTL_ADD, FD(p->id, 0), &event);
	}
	if (has(p, "write")) {
		char data[PAGE] = "";
		fcntl(FD(p->id, 1), F_SETFL, O_NONBLOCK);
		while (write(FD(p->id, 1), data, sizeof(data)) > 0)
			;
		fcntl(FD(p->id, 1), F_SETFL, 0);
	}
	start_thread(p, wait_main);
	/* What is seen from outside is to be settled: the thread waits. */
	for (int i = 0; i < 2000 && state_of(getpid(), common->tid[p->id]) != 'S'; i++)
		sleep_ms(1);
}

/* Another program, which gives back what it is given. */
static inline void program_make(const struct part *p)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		if (has(p, "sh"))
			execl("/bin/sh", "sh", "-c", "while read line; do echo \"$line\"; done", NULL);
		execl("/bin/cat", "cat", NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	common->pid[p->id] = common->tid[p->id] = pid;
	put(p, 0, to[1]);
	put(p, 1, from[0]);
	for (int i = 0; i < 4000; i++) {
		char path[64], name[64] = "";
		snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, name, sizeof(name) - 1) > 0 && strstr(name, "pipe_read"))
			i = 4000;
		close(fd);
		sleep_ms(1);
	}
}

static inline void program_look(const struct part *p, int as)
{
	char text[16] = "";

	if (as != p->id)
		return;
	if (write(FD(p->id, 0), "how are you?\n", 13) != 13)
		bad(p, "write: errno %d", errno);
	ssize_t n;
	do
		n = read(FD(p->id, 1), text, sizeof(text) - 1);
	while (n < 0 && errno == EINTR);
	if (n != 13 || strcmp(text, "how are you?\n"))
		bad(p, "the program answers %s", text);
}

/* Wakes the thread, which must answer. */
static inline void wait_look(const struct part *p)
{
	long before = common->state[p->id][0];
	char data[PAGE];

	EXPECT(p, syscall(SYS_tgkill, getpid(), common->tid[p->id], 0), 0, "looking for the thread");
	if (has(p, "write")) {
		if (read(FD(p->id, 0), data, sizeof(data)) != sizeof(data))
			bad(p, "read: errno %d", errno);
	} else if (!by_signal(p) && !has(p, "futex")) {
		if (write(FD(p->id, 1), "w", 1) != 1)
			bad(p, "write: errno %d", errno);
	}
	for (int i = 0; i < 4000 && common->state[p->id][0] == before; i++) {
		/* A signal that finds the thread between two calls is lost: it is sent until it is answered. */
		if (by_signal(p) && i % 4 == 0)
			syscall(SYS_tgkill, getpid(), common->tid[p->id], SIGRTMIN + 14);
		if (has(p, "futex") && i == 0) {
			wait_word[p->id]++;
			futex(&wait_word[p->id], FUTEX_WAKE_PRIVATE, 1, NULL);
		}
		sleep_ms(5);
	}
	if (common->state[p->id][0] == before)
		bad(p, "the thread does not wake");
	for (int i = 0; i < 2000 && state_of(getpid(), common->tid[p->id]) != 'S'; i++)
		sleep_ms(1);
	/* A full pipe has room again for less than was read. */
	if (has(p, "write")) {
		fcntl(FD(p->id, 1), F_SETFL, O_NONBLOCK);
		while (write(FD(p->id, 1), data, sizeof(data)) > 0)
			;
		fcntl(FD(p->id, 1), F_SETFL, 0);
	}
}

#endif
