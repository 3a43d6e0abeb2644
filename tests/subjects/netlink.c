/*
 * netlink(7) sockets: with addresses, groups, options, connected ones, of several protocols.
 */
#include "sockets.h"

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
/* One beyond the first 32 (RTNLGRP_STATS). */
#define HIGH_GROUP 36
#define UEVENT_GROUP 1

static int new_netlink(int type, int protocol)
{
	int fd = socket(AF_NETLINK, type, protocol);

	if (fd < 0)
		die("socket(AF_NETLINK, %d, %d)", type, protocol);
	return fd;
}

static struct sockaddr_nl address(unsigned int portid, unsigned int groups)
{
	return (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = portid, .nl_groups = groups };
}

static void bind_address(int fd, struct sockaddr_nl at)
{
	if (bind(fd, (void *)&at, sizeof(at)))
		die("bind");
}

static void set(int fd, int name, int value)
{
	if (setsockopt(fd, SOL_NETLINK, name, &value, sizeof(value)))
		die("setsockopt(SOL_NETLINK, %d)", name);
}

static void hear_nothing(int fd)
{
	struct sock_filter nothing = { .code = BPF_RET | BPF_K };
	struct sock_fprog filter = { .len = 1, .filter = &nothing };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		die("SO_ATTACH_FILTER");
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -errno : value;
}

static struct sockaddr_nl name_of(int fd, int (*call)(int, struct sockaddr *restrict, socklen_t *restrict))
{
	struct sockaddr_nl name = { 0 };
	socklen_t len = sizeof(name);

	if (call(fd, (void *)&name, &len))
		die("the name of a netlink socket");
	return name;
}

static void check_name(const char *what, int fd, unsigned int portid, unsigned int groups)
{
	struct sockaddr_nl name = name_of(fd, getsockname);

	check(name.nl_pid == portid && name.nl_groups == groups, what, "it is %u, in groups %#x", name.nl_pid, name.nl_groups);
}

static bool is_member(int fd, unsigned int group)
{
	unsigned int groups[8] = { 0 };
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len))
		return false;
	return groups[(group - 1) / 32] >> (group - 1) % 32 & 1;
}

/* The kernel answers: the first interface is there. */
static void check_asks(const char *what, int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_index = 1 },
	};
	ssize_t sent = send(fd, &request, sizeof(request), 0);
	ssize_t got = recv(fd, message_bytes, sizeof(message_bytes), MSG_DONTWAIT);

	check(sent == sizeof(request) && got > 0 && ((struct nlmsghdr *)message_bytes)->nlmsg_type == RTM_NEWLINK, what,
	      "send gives %zd, recv %zd, errno %d", sent, got, errno);
}

static void check_tells(const char *what, int from, int to)
{
	struct nlmsghdr head = { .nlmsg_len = sizeof(head), .nlmsg_type = 0x1234 };
	ssize_t sent = send(from, &head, sizeof(head), 0);
	ssize_t got = recv(to, message_bytes, sizeof(message_bytes), MSG_DONTWAIT);

	check(sent == sizeof(head) && got == sizeof(head), what, "send gives %zd, recv %zd, errno %d", sent, got, errno);
}

int main(void)
{
	subject_init();
	unsigned int own = getpid(), other = own | 1u << 30;
	int fresh = new_netlink(SOCK_RAW, NETLINK_ROUTE);
	/* Those in groups hear nothing, so that nothing waits in them whatever happens on this machine. */
	int route = new_netlink(SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_ROUTE);
	hear_nothing(route);
	bind_address(route, address(own, RTMGRP_LINK | RTMGRP_IPV4_IFADDR));
	set(route, NETLINK_ADD_MEMBERSHIP, HIGH_GROUP);
	set(route, NETLINK_PKTINFO, 1);
	set(route, NETLINK_EXT_ACK, 1);
	set(route, NETLINK_CAP_ACK, 1);
	int size = 100000;
	if (setsockopt(route, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)))
		die("SO_RCVBUF");
	int room = get(route, SOL_SOCKET, SO_RCVBUF);

	/* As udev and those who listen to it have theirs. */
	int uevent = new_netlink(SOCK_RAW, NETLINK_KOBJECT_UEVENT);
	hear_nothing(uevent);
	bind_address(uevent, address(0, 1u << (UEVENT_GROUP - 1)));
	unsigned int uevent_port = name_of(uevent, getsockname).nl_pid;

	int listener = new_netlink(SOCK_RAW, NETLINK_USERSOCK), talker = new_netlink(SOCK_RAW, NETLINK_USERSOCK);
	bind_address(listener, address(other, 0));
	struct sockaddr_nl to = address(other, 1u << 4);
	if (connect(talker, (void *)&to, sizeof(to)))
		die("connect");
	unsigned int talker_port = name_of(talker, getsockname).nl_pid;
	ready();
	wait_for_term();

	check_name("one that was new", fresh, 0, 0);
	check_name("an address and groups", route, own, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	check(is_member(route, HIGH_GROUP), "a high group", "it is not in it");
	check(!is_member(route, HIGH_GROUP + 1), "no other group", "it is in it");
	check_equal("SO_TYPE", get(route, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	check_equal("SO_RCVBUF", get(route, SOL_SOCKET, SO_RCVBUF), room);
	check_equal("O_NONBLOCK", fcntl(route, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	check_equal("NETLINK_PKTINFO", get(route, SOL_NETLINK, NETLINK_PKTINFO), 1);
	check_equal("NETLINK_EXT_ACK", get(route, SOL_NETLINK, NETLINK_EXT_ACK), 1);
	check_equal("NETLINK_CAP_ACK", get(route, SOL_NETLINK, NETLINK_CAP_ACK), 1);
	check_equal("NETLINK_NO_ENOBUFS", get(route, SOL_NETLINK, NETLINK_NO_ENOBUFS), 0);
	check_asks("the kernel answers", fresh);
	check_name("uevents", uevent, uevent_port, 1u << (UEVENT_GROUP - 1));
	socklen_t count = 0;
	check(getsockopt(uevent, SOL_SOCKET, SO_ATTACH_FILTER, NULL, &count) == 0 && count == 1, "its filter", "%u instructions",
	      count);
	check_name("who listens", listener, other, 0);
	check_name("who talks", talker, talker_port, 0);
	struct sockaddr_nl peer = name_of(talker, getpeername);
	check(peer.nl_pid == other && peer.nl_groups == 1u << 4, "whom it is connected to", "%u, groups %#x", peer.nl_pid,
	      peer.nl_groups);
	check_tells("one tells the other", talker, listener);
	finish();
}
