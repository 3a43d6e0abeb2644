/* What the subjects of internet sockets share. */
#ifndef INET_H
#define INET_H

#include "sockets.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

/* An address of either family. */
struct end {
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} at;
	socklen_t len;
};

static inline struct end make_end(int family, const char *address, int port)
{
	struct end end = { .len = family == AF_INET ? sizeof(end.at.four) : sizeof(end.at.six) };

	end.at.any.sa_family = family;
	end.at.four.sin_port = htons(port);
	if (inet_pton(family, address, family == AF_INET ? (void *)&end.at.four.sin_addr : &end.at.six.sin6_addr) != 1)
		die("inet_pton(%s)", address);
	return end;
}

static inline int new_inet(int family, int type)
{
	int fd = socket(family, type, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static inline void bind_end(int fd, struct end end)
{
	if (bind(fd, &end.at.any, end.len))
		die("bind");
}

/* A socket with an address, and a port that is free. */
static inline int bound_socket(int family, int type, int protocol, const char *address)
{
	int fd = socket(family, type, protocol);

	if (fd < 0)
		die("socket");
	bind_end(fd, make_end(family, address, 0));
	return fd;
}

static inline void connect_end(int fd, struct end end)
{
	if (connect(fd, &end.at.any, end.len))
		die("connect");
}

static inline struct end own_end(int fd)
{
	struct end end = { .len = sizeof(end.at) };

	if (getsockname(fd, &end.at.any, &end.len))
		die("getsockname");
	return end;
}

/* An empty one: it is not connected. */
static inline struct end peer_end(int fd)
{
	struct end end = { .len = sizeof(end.at) };

	if (getpeername(fd, &end.at.any, &end.len))
		end.len = 0;
	return end;
}

static inline bool is_end(struct end a, struct end b)
{
	return a.len == b.len && !memcmp(&a.at, &b.at, a.len);
}

static inline void check_ends(const char *name, int fd, struct end own, struct end peer)
{
	check(is_end(own_end(fd), own) && is_end(peer_end(fd), peer), name, "it has other addresses: port %d, peer's %d",
	      ntohs(own_end(fd).at.four.sin_port), ntohs(peer_end(fd).at.four.sin_port));
}

/* Any option with a number. */
static inline int inet_option(int fd, int level, int name)
{
	int value = -12345;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len))
		return -errno;
	return value;
}

static inline void set_inet_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("setsockopt(%d, %d, %d)", level, name, value);
}

#endif
