/* What the subjects of unix sockets share. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "files.h"

#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct ends {
	int a, b;
};

static inline struct ends make_pair(int type)
{
	int ends[2];

	if (socketpair(AF_UNIX, type, 0, ends))
		die("socketpair");
	return (struct ends){ ends[0], ends[1] };
}

/* Room for the longest message and more; no memory is asked for later, which may be forbidden then. */
static unsigned char message_bytes[200000];

/* Sends `size` bytes that are told apart by `seed`, as one message. */
static inline void send_data(int fd, size_t size, int seed)
{
	fill_bytes(message_bytes, size, seed);
	if (send(fd, message_bytes, size, MSG_DONTWAIT) != (ssize_t)size)
		die("send of %zu bytes", size);
}

/* The next message, or of a stream the next `size` bytes, must be these. */
static inline void check_received(const char *name, int fd, size_t size, int seed)
{
	int type = 0;
	socklen_t len = sizeof(type);

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	ssize_t n = recv(fd, message_bytes, type == SOCK_STREAM ? size : sizeof(message_bytes), MSG_DONTWAIT);
	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed), name,
	      "%zd bytes instead of %zu (errno %d), or others", n, size, n < 0 ? errno : 0);
}

/* Nothing more waits. */
static inline void check_empty(const char *name, int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	check(n == -1 && errno == EAGAIN, name, "recv gives %zd, errno %d", n, n < 0 ? errno : 0);
}

static inline void check_fails(const char *name, ssize_t got, int error)
{
	check(got == -1 && errno == error, name, "%zd, errno %d instead of %d", got, got < 0 ? errno : 0, error);
}

static inline int option(int fd, int name)
{
	int value = -12345;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, name, &value, &len))
		return -errno;
	return value;
}

static inline void set_option(int fd, int name, int value)
{
	if (setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)))
		die("setsockopt(%d, %d)", name, value);
}

/* The child tells the parent that it has set itself up. */
static inline void child_is_ready(int ends[2])
{
	close(ends[0]);
	if (write(ends[1], "r", 1) != 1)
		die("write");
	close(ends[1]);
}

static inline void wait_for_child(int ends[2])
{
	char byte;

	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		die("the child is not ready");
	/* Nor has it an end left that others may see. */
	if (read(ends[0], &byte, 1) != 0)
		die("the child says more than that it is ready");
	close(ends[0]);
}

/* Who made the other end, as SO_PEERCRED tells it. */
static inline struct ucred peer_of(int fd)
{
	struct ucred peer = { -1, -1, -1 };
	socklen_t len = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return peer;
}

static inline void check_peer(const char *name, int fd, struct ucred want)
{
	struct ucred got = peer_of(fd);

	check(got.pid == want.pid && got.uid == want.uid && got.gid == want.gid, name,
	      "task %d uid %u gid %u instead of %d %u %u", got.pid, got.uid, got.gid, want.pid, want.uid, want.gid);
}

/* A name: a path, or an abstract one behind `@` that has the process's id in it. */
struct name {
	struct sockaddr_un addr;
	socklen_t len;
};

static inline struct name make_name(const char *text)
{
	struct name name = { .addr = { .sun_family = AF_UNIX } };
	size_t size = sizeof(name.addr.sun_path);

	if (text[0] == '@') {
		int n = snprintf(name.addr.sun_path + 1, size - 1, "%s-%d", text + 1, getpid());
		name.len = offsetof(struct sockaddr_un, sun_path) + 1 + n;
	} else {
		snprintf(name.addr.sun_path, size, "%s", text);
		name.len = offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1;
	}
	return name;
}

static inline int new_socket(int type)
{
	int fd = socket(AF_UNIX, type, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static inline void bind_to(int fd, const struct name *name)
{
	if (bind(fd, (const struct sockaddr *)&name->addr, name->len))
		die("bind to %s", name->addr.sun_path + !name->addr.sun_path[0]);
}

static inline void connect_to(int fd, const struct name *name)
{
	if (connect(fd, (const struct sockaddr *)&name->addr, name->len))
		die("connect to %s", name->addr.sun_path + !name->addr.sun_path[0]);
}

static inline int accept_from(int fd)
{
	int accepted = accept(fd, NULL, NULL);

	if (accepted < 0)
		die("accept");
	return accepted;
}

static inline bool is_name(const struct sockaddr_un *addr, socklen_t len, const struct name *want)
{
	socklen_t none = sizeof(sa_family_t);

	if (!want)
		return len <= none;
	return len == want->len && !memcmp(addr, &want->addr, len);
}

/* What getsockname(2) and getpeername(2) say; NULL for no name. */
static inline void check_names(const char *what, int fd, const struct name *own, const struct name *peer)
{
	struct sockaddr_un addr = { 0 };
	socklen_t len = sizeof(addr);
	char with[96];

	snprintf(with, sizeof(with), "%s: own name", what);
	int result = getsockname(fd, (struct sockaddr *)&addr, &len);
	check(result == 0 && is_name(&addr, len, own), with, "%d, %u bytes, %s", result, (unsigned)len,
	      addr.sun_path + !addr.sun_path[0]);
	snprintf(with, sizeof(with), "%s: peer's name", what);
	len = sizeof(addr);
	result = getpeername(fd, (struct sockaddr *)&addr, &len);
	check(result == 0 && is_name(&addr, len, peer), with, "%d, %u bytes, %s", result, (unsigned)len,
	      addr.sun_path + !addr.sun_path[0]);
}

/* A message, and the name of the socket that sent it; NULL for no name. */
static inline void check_from(const char *what, int fd, size_t size, int seed, const struct name *from)
{
	struct sockaddr_un addr = { 0 };
	socklen_t len = sizeof(addr);
	ssize_t n = recvfrom(fd, message_bytes, sizeof(message_bytes), MSG_DONTWAIT, (struct sockaddr *)&addr, &len);

	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed) && is_name(&addr, len, from), what,
	      "%zd bytes instead of %zu, from %s", n, size, addr.sun_path + !addr.sun_path[0]);
}

/* Receives one byte with the credentials of who sent it. */
static inline void check_sender(const char *name, int fd, char byte, pid_t pid, uid_t uid)
{
	char got = 0;
	union {
		char space[256];
		struct cmsghdr align;
	} control;
	struct iovec io = { &got, 1 };
	struct msghdr message = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)
	};
	struct ucred from = { -1, -1, -1 };
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&from, CMSG_DATA(c), sizeof(from));
	check(n == 1 && got == byte && from.pid == pid && from.uid == uid, name,
	      "%zd bytes, %c, of task %d uid %u instead of %d %u", n, got, from.pid, from.uid, pid, uid);
}

#endif
