/* Parts of the mixed subject that are descriptors. `as` is the part under whose numbers a descriptor is looked
 * at: the part itself, or one that duplicated it. */
#ifndef MIXED_DESCRIPTORS_H
#define MIXED_DESCRIPTORS_H

#include "mixed.h"

#include <arpa/inet.h>
#include <limits.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pty.h>
#include <termios.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static inline void own_signals(const struct part *p, int fd)
{
	if (!has(p, "async"))
		return;
	if (fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETSIG, SIGRTMIN + 9))
		die("F_SETOWN");
}

static inline bool readable(const struct part *p)
{
	return !has(p, "wronly");
}

static inline bool writable(const struct part *p)
{
	return !has(p, "rdonly");
}

/* Regular files. state: position, size, mark at the beginning. */
static inline void file_make(const struct part *p)
{
	char path[600], other[600];
	unsigned char data[PAGE];
	long size = number(p, "size", 100);
	int flags = has(p, "rdonly") ? O_RDONLY : has(p, "wronly") ? O_WRONLY : O_RDWR;

	at_home(path, sizeof(path), "file", p->id);
	at_home(other, sizeof(other), "other", p->id);
	int fd = has(p, "tmpfile") ? open(home, O_TMPFILE | O_RDWR | (has(p, "excl") ? O_EXCL : 0), 0600)
				   : open(path, O_RDWR | O_CREAT, 0640);
	if (fd < 0)
		die("%s", path);
	for (long at = 0; at < size; at += sizeof(data)) {
		fill_bytes(data, sizeof(data), p->id + at);
		long n = size - at < (long)sizeof(data) ? size - at : (long)sizeof(data);
		if (pwrite(fd, data, n, at) != n)
			die("%s: write", path);
	}
	if (has(p, "sparse") && ftruncate(fd, size += 100000))
		die("ftruncate");
	if (!has(p, "tmpfile")) {
		close(fd);
		fd = open(path, flags | (has(p, "append") ? O_APPEND : 0) |
					(has(p, "nonblock") ? O_NONBLOCK : 0) |
					(has(p, "noatime") ? O_NOATIME : 0) | (has(p, "sync") ? O_SYNC : 0));
	}
	fd = put(p, 0, fd);
	own_signals(p, fd);
	if ((has(p, "linked") && link(path, other)) || (has(p, "deleted") && unlink(path)))
		die("link or unlink");
	if (has(p, "flock") && flock(fd, LOCK_EX))
		die("flock");
	struct flock lock = { .l_type = readable(p) && !writable(p) ? F_RDLCK : F_WRLCK, .l_start = 10, .l_len = 20 };
	if (has(p, "posix") && fcntl(fd, F_SETLK, &lock))
		die("F_SETLK");
	if (has(p, "ofd") && fcntl(fd, F_OFD_SETLK, &lock))
		die("F_OFD_SETLK");
	if (has(p, "lease") && fcntl(fd, F_SETLEASE, F_RDLCK))
		die("F_SETLEASE");
	common->state[p->id][0] = lseek(fd, size / 3, SEEK_SET);
	common->state[p->id][1] = size;
	common->state[p->id][2] = -1;
}

static inline void file_change(const struct part *p, int as, long round)
{
	int fd = FD(as, 0);
	volatile long *state = common->state[p->id];

	if (writable(p) && has(p, "append")) {
		if (write(fd, "a", 1) != 1)
			bad(p, "write: errno %d", errno);
		state[1]++;
	} else if (writable(p) && state[1] >= (long)sizeof(round)) {
		if (pwrite(fd, &round, sizeof(round), 0) != sizeof(round))
			bad(p, "pwrite: errno %d", errno);
		state[2] = round;
	}
	state[0] = (round * 13 + p->id) % (state[1] + 1);
	EXPECT(p, lseek(fd, state[0], SEEK_SET), state[0], "lseek");
}

static inline void file_look(const struct part *p, int as)
{
	int fd = FD(as, 0);
	volatile long *state = common->state[p->id];
	struct stat st = { 0 };
	long mark = -1;
	unsigned char byte;

	EXPECT(p, lseek(fd, 0, SEEK_CUR), state[0], "the position");
	EXPECT(p, fstat(fd, &st), 0, "fstat");
	EXPECT(p, st.st_size, state[1], "the size");
	EXPECT(p, st.st_nlink, (has(p, "linked") ? 2 : 1) - (has(p, "deleted") || has(p, "tmpfile")), "the links");
	if (readable(p) && state[2] >= 0 && pread(fd, &mark, sizeof(mark), 0) == sizeof(mark))
		EXPECT(p, mark, state[2], "what was written");
	if (readable(p) && number(p, "size", 100) > 50 && pread(fd, &byte, 1, 50) == 1)
		EXPECT(p, byte, byte_at(p->id, 50), "byte 50");
	if (has(p, "flock")) {
		char path[32];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		int other = open(path, O_RDONLY | O_CLOEXEC);
		if (other >= 0 && flock(other, LOCK_SH | LOCK_NB) == 0)
			bad(p, "its lock is gone");
		close(other);
	}
}

static inline void tree_make(const struct part *p)
{
	char path[600];
	const char *device = text_of(p, "device", NULL), *file = text_of(p, "proc", NULL);
	struct stat st;

	if (file) {
		snprintf(path, sizeof(path), "/proc/%s", file);
		put(p, 0, open(path, O_RDONLY));
	} else if (device) {
		snprintf(path, sizeof(path), "/dev/%s", device);
		put(p, 0, open(path, O_RDWR | (has(p, "path") ? O_PATH : 0)));
	} else {
		at_home(path, sizeof(path), "dir", p->id);
		if (mkdir(path, 0700) && errno != EEXIST)
			die("mkdir");
		put(p, 0, open(path, O_RDONLY | O_DIRECTORY | (has(p, "path") ? O_PATH : 0)));
		if (has(p, "deleted") && rmdir(path))
			die("rmdir");
	}
	if (fstat(FD(p->id, 0), &st))
		die("fstat");
	common->state[p->id][0] = st.st_mode;
	common->state[p->id][1] = device || file ? (long)st.st_rdev : has(p, "deleted") ? 0 : (long)st.st_ino;
}

static inline void tree_look(const struct part *p, int as)
{
	struct stat st = { 0 };
	EXPECT(p, fstat(FD(as, 0), &st), 0, "fstat");
	EXPECT(p, st.st_mode, common->state[p->id][0], "the mode");
	EXPECT(p, S_ISDIR(st.st_mode) ? (has(p, "deleted") ? 0 : (long)st.st_ino) : (long)st.st_rdev,
	       common->state[p->id][1], "the inode or device");
}

/* Pipes, fifos, pairs of sockets and ptys, whose master is read. state: bytes inside, their seed; and of pairs, what goes the other way. */
static inline void channel_fill(const struct part *p, int fd, long n, int seed)
{
	unsigned char data[2000];
	while (n > 0) {
		long chunk = n < (long)sizeof(data) ? n : (long)sizeof(data);
		fill_bytes(data, chunk, seed);
		if (write(fd, data, chunk) != chunk)
			bad(p, "write: errno %d", errno);
		n -= chunk;
	}
}

/* Takes out what channel_fill() put in. */
static inline void channel_drain(const struct part *p, int fd, long n, int seed)
{
	unsigned char data[2000];
	while (n > 0) {
		long chunk = n < (long)sizeof(data) ? n : (long)sizeof(data), got = 0, more;
		while (got < chunk && (more = read_now(fd, data + got, chunk - got)) > 0)
			got += more;
		EXPECT(p, got, chunk, "what is inside");
		if (got == chunk && !bytes_are(data, chunk, seed))
			bad(p, "the %ld bytes inside are others", n);
		n -= chunk;
	}
	EXPECT(p, read_now(fd, data, 1), -1, "reading beyond the end");
}

static inline void channel_make(const struct part *p)
{
	int ends[2] = { -1, -1 };
	long n = number(p, "n", 0);

	if (!strcmp(p->op, "pipe")) {
		int flags = (has(p, "nonblock") ? O_NONBLOCK : 0) | (has(p, "packet") ? O_DIRECT : 0);
		if (pipe2(ends, flags))
			die("pipe2");
	} else if (!strcmp(p->op, "fifo")) {
		char path[600];
		if (mkfifo(at_home(path, sizeof(path), "fifo", p->id), 0600))
			die("mkfifo");
		ends[0] = open(path, O_RDWR | (has(p, "nonblock") ? O_NONBLOCK : 0));
		ends[1] = open(path, O_WRONLY);
		if (has(p, "deleted") && unlink(path))
			die("unlink");
	} else if (!strcmp(p->op, "pty")) {
		struct termios modes = { .c_cflag = CREAD };
		cfmakeraw(&modes);
		cfsetspeed(&modes, B9600);
		if (openpty(&ends[0], &ends[1], NULL, &modes, NULL))
			die("openpty");
		for (int i = 0; has(p, "nonblock") && i < 2; i++)
			fcntl(ends[i], F_SETFL, O_NONBLOCK);
	} else {
		int type = has(p, "dgram") ? SOCK_DGRAM : has(p, "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
		if (socketpair(AF_UNIX, type | (has(p, "nonblock") ? SOCK_NONBLOCK : 0), 0, ends))
			die("socketpair");
	}
	if (number(p, "room", 0) && fcntl(ends[1], F_SETPIPE_SZ, number(p, "room", 0)) < 0)
		die("F_SETPIPE_SZ");
	put(p, 0, ends[0]);
	put(p, 1, ends[1]);
	own_signals(p, FD(p->id, 0));
	channel_fill(p, FD(p->id, 1), n, p->id);
	common->state[p->id][0] = n;
	common->state[p->id][1] = p->id;
	if (!strcmp(p->op, "pair") || !strcmp(p->op, "pty")) {
		channel_fill(p, FD(p->id, 0), number(p, "back", 0), p->id);
		if (has(p, "shut") && shutdown(FD(p->id, 0), SHUT_WR))
			die("shutdown");
	}
	if (has(p, "nowriter") || has(p, "noreader"))
		close(FD(p->id, has(p, "nowriter")));
}

static inline bool one_ended(const struct part *p)
{
	return has(p, "nowriter") || has(p, "noreader");
}

static inline void channel_change(const struct part *p, int as, long round)
{
	volatile long *state = common->state[p->id];
	long back = number(p, "back", 0);

	if (one_ended(p))
		return;
	channel_drain(p, FD(as, 0), state[0], state[1]);
	/* A shut direction is empty when it was drained once, and then at its end. */
	if (back && !has(p, "shut")) {
		channel_drain(p, FD(as, 1), back, state[1]);
		channel_fill(p, FD(as, 0), back, round);
	}
	state[1] = round;
	channel_fill(p, FD(as, 1), state[0], round);
}

static inline void channel_look(const struct part *p, int as)
{
	int inside = -1, end = has(p, "noreader") ? 1 : 0;
	struct stat st = { 0 };
	long room = number(p, "room", 0);

	EXPECT(p, fstat(FD(as, end), &st), 0, "fstat");
	bool pair = !strcmp(p->op, "pair"), pty = !strcmp(p->op, "pty");
	EXPECT(p, st.st_mode & S_IFMT, pty ? S_IFCHR : pair ? S_IFSOCK : S_IFIFO, "the kind");
	if (room)
		EXPECT(p, fcntl(FD(as, end), F_GETPIPE_SZ), room, "the size of the pipe");
	if (end == 0 && !pair && !pty && !ioctl(FD(as, 0), FIONREAD, &inside))
		EXPECT(p, inside, common->state[p->id][0], "FIONREAD");
	if (end == 0 && !one_ended(p))
		EXPECT(p, fcntl(FD(as, 0), F_GETFL) & O_NONBLOCK, has(p, "nonblock") ? O_NONBLOCK : 0, "O_NONBLOCK");
}

/* A listening unix socket with a connection to it. */
static inline void server_make(const struct part *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int type = has(p, "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
	int len;

	if (has(p, "abstract"))
		len = snprintf(address.sun_path + 1, 100, "mixed-%d-%d", common->pid[0], p->id) + 1;
	else
		len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/s%d", home, p->id) + 1;
	int server = socket(AF_UNIX, type, 0), client = socket(AF_UNIX, type, 0);
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + len;
	if (bind(server, (struct sockaddr *)&address, size) || listen(server, 7) ||
	    connect(client, (struct sockaddr *)&address, size))
		die("bind, listen or connect");
	put(p, 0, server);
	put(p, 1, client);
	if (has(p, "pending"))
		channel_fill(p, FD(p->id, 1), 10, p->id);
	else
		put(p, 2, accept(FD(p->id, 0), NULL, NULL));
	if (has(p, "deleted") && unlink(address.sun_path))
		die("unlink");
	common->state[p->id][0] = len;
}

static inline void server_change(const struct part *p, int as, long round)
{
	if (has(p, "pending")) {
		/* A new connection instead of the one that waits. */
		int accepted = accept(FD(as, 0), NULL, NULL);
		if (accepted < 0) {
			bad(p, "accept: errno %d", errno);
			return;
		}
		channel_drain(p, accepted, 10, common->state[p->id][1] ? common->state[p->id][1] : p->id);
		close(accepted);
		if (has(p, "deleted"))
			return;
		struct sockaddr_un address;
		socklen_t size = sizeof(address);
		getsockname(FD(as, 0), (struct sockaddr *)&address, &size);
		int client = socket(AF_UNIX, has(p, "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM, 0);
		if (connect(client, (struct sockaddr *)&address, size))
			bad(p, "connect: errno %d", errno);
		put(p, 1, client);
		channel_fill(p, FD(p->id, 1), 10, round);
		common->state[p->id][1] = round;
		return;
	}
	channel_fill(p, FD(as, 1), 30, round);
	channel_drain(p, FD(as, 2), 30, round);
	channel_fill(p, FD(as, 2), 5, round);
	channel_drain(p, FD(as, 1), 5, round);
}

static inline void server_look(const struct part *p, int as)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address);
	char want[600];

	EXPECT(p, getsockname(FD(as, 0), (struct sockaddr *)&address, &size), 0, "getsockname");
	EXPECT(p, size, common->state[p->id][0] + offsetof(struct sockaddr_un, sun_path), "the length of the name");
	if (has(p, "abstract"))
		snprintf(want, sizeof(want), "mixed-%d-%d", common->pid[0], p->id);
	else
		at_home(want, sizeof(want), "s", p->id);
	if (strcmp(want, address.sun_path + has(p, "abstract")))
		bad(p, "its name is %s", address.sun_path + has(p, "abstract"));
}

static inline void event_make(const struct part *p)
{
	long value = number(p, "value", 0);
	int fd = eventfd(0, EFD_NONBLOCK | (has(p, "semaphore") ? EFD_SEMAPHORE : 0));
	if (fd >= 0 && value && write(fd, &value, 8) != 8)
		die("eventfd");
	put(p, 0, fd);
	common->state[p->id][0] = value;
}

static inline void event_change(const struct part *p, int as, long round)
{
	volatile long *state = common->state[p->id];
	long value = 0;

	if (state[0]) {
		EXPECT(p, read(FD(as, 0), &value, 8), 8, "read");
		EXPECT(p, value, has(p, "semaphore") ? 1 : state[0], "the count");
		state[0] -= value;
	} else {
		EXPECT(p, read(FD(as, 0), &value, 8), -1, "read");
	}
	value = round % 7;
	if (value && write(FD(as, 0), &value, 8) != 8)
		bad(p, "write: errno %d", errno);
	state[0] += value;
}

static inline void event_look(const struct part *p, int as)
{
	char text[32] = "";
	if (fdinfo(FD(as, 0), "eventfd-count", text, sizeof(text)))
		EXPECT(p, strtol(text, NULL, 16), common->state[p->id][0], "eventfd-count");
}

/* state: when it was set (ms of its clock), for how long, and the interval. */
static inline clockid_t clock_of(const struct part *p)
{
	const char *name = text_of(p, "clock", "mono");
	return !strcmp(name, "real") ? CLOCK_REALTIME : !strcmp(name, "boot") ? CLOCK_BOOTTIME :
	       !strcmp(name, "tai") ? CLOCK_TAI : !strcmp(name, "cpu") ? CLOCK_PROCESS_CPUTIME_ID :
	       !strcmp(name, "thread") ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
}

static inline struct timespec ms_time(long ms)
{
	return (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
}

static inline long ms_of(struct timespec t)
{
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void timerfd_make(const struct part *p)
{
	long once = number(p, "once", 0);
	struct itimerspec spec = { .it_interval = ms_time(number(p, "every", 0)), .it_value = ms_time(once) };
	int fd = timerfd_create(clock_of(p), TFD_NONBLOCK);

	if (has(p, "absolute")) {
		struct timespec now;
		clock_gettime(clock_of(p), &now);
		spec.it_value = ms_time(ms_of(now) + once);
	}
	if (fd < 0 || timerfd_settime(fd, has(p, "absolute") ? TFD_TIMER_ABSTIME : 0, &spec, NULL))
		die("timerfd");
	put(p, 0, fd);
}

static inline void timerfd_look(const struct part *p, int as)
{
	struct itimerspec spec;
	long once = number(p, "once", 0), every = number(p, "every", 0), expired = 0;

	EXPECT(p, timerfd_gettime(FD(as, 0), &spec), 0, "timerfd_gettime");
	EXPECT(p, ms_of(spec.it_interval), every, "the interval");
	if (!once) {
		EXPECT(p, ms_of(spec.it_value), 0, "the time left of a timer that is off");
		return;
	}
	long left = ms_of(spec.it_value);
	if (every ? left > every && left > once : once > 100000 && (left <= once - 900000 || left > once))
		bad(p, "%ld ms are left", left);
	if (!every || every > 1000)
		return;
	for (int i = 0; i < 2000 && read(FD(as, 0), &expired, 8) != 8; i++)
		sleep_ms(5);
	if (expired == 0)
		bad(p, "it does not expire any more");
}

static inline void signalfd_make(const struct part *p)
{
	sigset_t set;
	sigemptyset(&set);
	for (int i = 0; i < 64; i++)
		if (number(p, "mask", 0) >> i & 1 && i + 1 != SIGKILL && i + 1 != SIGSTOP && i + 1 != 32 && i + 1 != 33)
			sigaddset(&set, i + 1);
	put(p, 0, signalfd(-1, &set, SFD_NONBLOCK));
	char text[32] = "";
	fdinfo(FD(p->id, 0), "sigmask", text, sizeof(text));
	common->state[p->id][0] = strtol(text, NULL, 16);
}

static inline void signalfd_look(const struct part *p, int as)
{
	char text[32] = "";
	if (fdinfo(FD(as, 0), "sigmask", text, sizeof(text)))
		EXPECT(p, strtol(text, NULL, 16), common->state[p->id][0], "the mask");
}

/* An epoll of an eventfd of its own, by which it is told that it works, and of what it refers to. */
static inline void epoll_make(const struct part *p)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1000 + p->id };
	const struct part *target;

	put(p, 0, epoll_create1(0));
	put(p, 1, eventfd(0, EFD_NONBLOCK));
	if (epoll_ctl(FD(p->id, 0), EPOLL_CTL_ADD, FD(p->id, 1), &event))
		die("epoll_ctl");
	for (int i = 0; (target = ref(p, i)); i++) {
		event.events = EPOLLIN | (has(p, "out") ? EPOLLOUT : 0) | (has(p, "edge") ? EPOLLET : 0) |
			       (has(p, "oneshot") ? EPOLLONESHOT : 0);
		event.data.u64 = 0x2000 + i;
		if (fcntl(FD(target->id, 0), F_GETFD) < 0)
			continue;
		if (epoll_ctl(FD(p->id, 0), EPOLL_CTL_ADD, FD(target->id, 0), &event) && errno != EPERM)
			die("epoll_ctl");
		if (!has(p, "closed"))
			continue;
		int number = fcntl(FD(target->id, 0), F_DUPFD, FD(p->id, 2));
		if (epoll_ctl(FD(p->id, 0), EPOLL_CTL_ADD, number, &event) && errno != EPERM)
			die("epoll_ctl");
		close(number);
	}
}

static inline void epoll_change(const struct part *p, int as, long round)
{
	long value = 1;
	(void)round;
	if (common->state[p->id][0])
		EXPECT(p, read(FD(as, 1), &value, 8), 8, "reading the eventfd");
	else if (write(FD(as, 1), &value, 8) != 8)
		bad(p, "write: errno %d", errno);
	common->state[p->id][0] = !common->state[p->id][0];
}

static inline void epoll_look(const struct part *p, int as)
{
	struct epoll_event events[32];
	int own = 0, n = epoll_wait(FD(as, 0), events, 32, 0);
	for (int i = 0; i < n; i++)
		own += events[i].data.u64 == (uint64_t)0x1000 + p->id && events[i].events == EPOLLIN;
	EXPECT(p, own, common->state[p->id][0], "the event of its own eventfd");
}

static inline void memfd_make(const struct part *p)
{
	int fd = memfd_create("mixed", MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, 3 * PAGE))
		die("memfd");
	put(p, 0, fd);
	if (has(p, "sealed") && fcntl(FD(p->id, 0), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		die("F_ADD_SEALS");
	common->state[p->id][0] = 0;
	lseek(FD(p->id, 0), p->id, SEEK_SET);
}

static inline void memfd_change(const struct part *p, int as, long round)
{
	if (pwrite(FD(as, 0), &round, sizeof(round), 2 * PAGE + 64) != sizeof(round))
		bad(p, "pwrite: errno %d", errno);
	common->state[p->id][0] = round;
}

static inline void memfd_look(const struct part *p, int as)
{
	long value = -1;
	EXPECT(p, pread(FD(as, 0), &value, sizeof(value), 2 * PAGE + 64), sizeof(value), "pread");
	EXPECT(p, value, common->state[p->id][0], "what was written");
	EXPECT(p, fcntl(FD(as, 0), F_GET_SEALS), has(p, "sealed") ? F_SEAL_SHRINK | F_SEAL_GROW : 0, "the seals");
	EXPECT(p, lseek(FD(as, 0), 0, SEEK_CUR), p->id, "the position");
}

/* Of the task that makes it: whoever has it may look when that has ended. */
static inline void pidfd_make(const struct part *p)
{
	put(p, 0, syscall(SYS_pidfd_open, getpid(), has(p, "nonblock") ? O_NONBLOCK : 0));
	common->state[p->id][0] = getpid();
}

static inline void pidfd_look(const struct part *p, int as)
{
	char text[32] = "";
	if (!fdinfo(FD(as, 0), "Pid", text, sizeof(text)) || atol(text) == -1)
		return;
	EXPECT(p, atol(text), common->state[p->id][0], "the process");
}

/* A POSIX message queue without a name: how many messages are in it, the number of the first and of the next. */
static inline void queue_make(const struct part *p)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 8 };
	char name[64];

	snprintf(name, sizeof(name), "/mixed-%d-%d", getpid(), p->id);
	int fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attr);
	mq_unlink(name);
	/* A user may have so many bytes in queues. */
	common->state[p->id][0] = fd < 0 ? -1 : 0;
	put(p, 0, fd < 0 ? eventfd(0, 0) : fd);
}

static inline void queue_change(const struct part *p, int as, long round)
{
	volatile long *state = common->state[p->id];
	long value = 0;

	if (state[0] < 0)
		return;
	if (state[0] == 3 || (state[0] && round % 3 == 0)) {
		EXPECT(p, mq_receive(FD(as, 0), (char *)&value, 8, NULL), 8, "receive");
		EXPECT(p, value, state[1], "the message");
		state[0]--;
		state[1]++;
	} else if (mq_send(FD(as, 0), (const char *)(const void *)&(long){ state[1] + state[0] }, 8, 5)) {
		bad(p, "mq_send: errno %d", errno);
	} else {
		state[0]++;
	}
}

static inline void queue_look(const struct part *p, int as)
{
	struct mq_attr attr = { 0 };
	if (common->state[p->id][0] < 0)
		return;
	EXPECT(p, mq_getattr(FD(as, 0), &attr), 0, "mq_getattr");
	EXPECT(p, attr.mq_curmsgs, common->state[p->id][0], "how many messages");
}

/* System V shared memory, marked for removal, as long as the task lives that has made it. */
static inline void segment_make(const struct part *p)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE, 0666);

	if (id < 0 || shmat(id, NULL, has(p, "readonly") ? SHM_RDONLY : 0) == (void *)-1)
		die("shmat");
	shmctl(id, IPC_RMID, NULL);
	common->state[p->id][0] = id;
	common->state[p->id][1] = 0;
	put(p, 0, eventfd(0, 0));
}

static inline long *segment_attach(const struct part *p)
{
	void *at = shmat(common->state[p->id][0], NULL, 0);

	if (at == (void *)-1 && errno != EINVAL && errno != EIDRM)
		bad(p, "shmat: errno %d", errno);
	return at == (void *)-1 ? NULL : at;
}

static inline void segment_change(const struct part *p, int as, long round)
{
	long *at = segment_attach(p);
	(void)as;
	if (!at)
		return;
	at[PAGE / sizeof(long)] = common->state[p->id][1] = round;
	shmdt(at);
}

static inline void segment_look(const struct part *p, int as)
{
	long *at = segment_attach(p);
	(void)as;
	if (!at)
		return;
	EXPECT(p, at[PAGE / sizeof(long)], common->state[p->id][1], "what was written");
	shmdt(at);
}

/* An inotify instance with one watch. */
static inline void watch_make(const struct part *p)
{
	char path[600];
	int fd = inotify_init1(IN_NONBLOCK);

	at_home(path, sizeof(path), "watched", p->id);
	close(open(path, O_RDWR | O_CREAT, 0600));
	if (fd < 0 || inotify_add_watch(fd, path, IN_ATTRIB | IN_MODIFY) != 1)
		die("inotify");
	put(p, 0, fd);
}

static inline void watch_look(const struct part *p, int as)
{
	char path[64], line[512];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", FD(as, 0));
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		found |= !strncmp(line, "inotify wd:1 ", 13);
	if (file)
		fclose(file);
	if (!found)
		bad(p, "its watch is gone");
}

/* What is refused today, as a whole: it only has to be there. */
static inline void odd_make(const struct part *p)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = -1;

	if (has(p, "tcp")) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1))
			die("tcp");
	} else if (has(p, "udp")) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
	} else if (has(p, "netlink")) {
		fd = socket(AF_NETLINK, SOCK_RAW, 0);
	} else if (has(p, "uring")) {
		unsigned parameters[30] = { 0 };
		fd = syscall(SYS_io_uring_setup, 4, parameters);
	} else if (has(p, "userfault")) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	} else if (has(p, "dnotify")) {
		fd = open(home, O_RDONLY | O_DIRECTORY);
		fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT);
	}
	/* Some kernels or machines lack some of it, and some of it has no descriptor. */
	put(p, 0, fd < 0 ? eventfd(0, 0) : fd);
	struct stat st;
	fstat(FD(p->id, 0), &st);
	common->state[p->id][0] = st.st_mode;
}

static inline void odd_look(const struct part *p, int as)
{
	struct stat st = { 0 };
	EXPECT(p, fstat(FD(as, 0), &st), 0, "fstat");
	EXPECT(p, st.st_mode, common->state[p->id][0], "the mode");
}

#endif
