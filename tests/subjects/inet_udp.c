/*
 * UDP sockets: bound, connected, neither; with datagrams that wait, from within and from a sender that is gone; options;
 * memberships of groups; filters; two that share a port.
 */
#include "inet.h"

#include <linux/filter.h>
#include <stddef.h>
#include <sys/stat.h>

static const struct {
	const char *name;
	int level, option, value, want;
} OPTIONS[] = {
	{ "IP_TOS", IPPROTO_IP, IP_TOS, 0x10, 0x10 },
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 30000, 60000 },
	{ "SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 1, 1 },
	{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 3, 3 },
	{ "SO_MARK", SOL_SOCKET, SO_MARK, 7, 7 },
	{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, 1, 1 },
	{ "SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, 5, 5 },
	{ "SO_ZEROCOPY", SOL_SOCKET, SO_ZEROCOPY, 1, 1 },
	{ "IP_TTL", IPPROTO_IP, IP_TTL, 17, 17 },
	{ "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, 1, 1 },
	{ "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL, 1, 1 },
	{ "IP_RECVTOS", IPPROTO_IP, IP_RECVTOS, 1, 1 },
	{ "IP_RECVERR", IPPROTO_IP, IP_RECVERR, 1, 1 },
	{ "IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 1, 1 },
	{ "IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, 1, 1 },
	{ "IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DO },
	{ "IP_MULTICAST_TTL", IPPROTO_IP, IP_MULTICAST_TTL, 5, 5 },
	{ "IP_MULTICAST_LOOP", IPPROTO_IP, IP_MULTICAST_LOOP, 0, 0 },
	{ "IP_MULTICAST_ALL", IPPROTO_IP, IP_MULTICAST_ALL, 0, 0 },
	{ "UDP_CORK", IPPROTO_UDP, UDP_CORK, 1, 1 },
	{ "UDP_SEGMENT", IPPROTO_UDP, UDP_SEGMENT, 1000, 1000 },
	{ "UDP_GRO", IPPROTO_UDP, UDP_GRO, 1, 1 },
};
#define COUNT (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

static int bound(int family, const char *address)
{
	int fd = new_inet(family, SOCK_DGRAM);

	bind_end(fd, make_end(family, address, 0));
	return fd;
}

static void send_to(int fd, struct end to, size_t size, int seed)
{
	fill_bytes(message_bytes, size, seed);
	if (sendto(fd, message_bytes, size, 0, &to.at.any, to.len) != (ssize_t)size)
		die("sendto");
}

static void check_datagram(const char *name, int fd, size_t size, int seed, struct end want)
{
	struct end from = { .len = sizeof(from.at) };
	ssize_t n = recvfrom(fd, message_bytes, sizeof(message_bytes), MSG_DONTWAIT, &from.at.any, &from.len);

	check(n == (ssize_t)size && bytes_are(message_bytes, size, seed) && is_end(from, want), name,
	      "%zd bytes instead of %zu (errno %d), or others, from port %d", n, size, n < 0 ? errno : 0,
	      ntohs(from.at.four.sin_port));
}

/* Whether a socket has joined a group: it does not take it twice. */
static void check_member(const char *name, int fd, const char *group)
{
	struct ip_mreqn request = { .imr_ifindex = if_nametoindex("lo") };

	inet_pton(AF_INET, group, &request.imr_multiaddr);
	int result = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request));
	check(result == -1 && errno == EADDRINUSE, name, "joining gives %d, errno %d", result, errno);
}

/* Joins or leaves a group of IPv6. @returns 0, or -errno */
static int change_six(int fd, int option, const char *group)
{
	struct ipv6_mreq request = { .ipv6mr_interface = if_nametoindex("lo") };

	inet_pton(AF_INET6, group, &request.ipv6mr_multiaddr);
	return setsockopt(fd, IPPROTO_IPV6, option, &request, sizeof(request)) ? -errno : 0;
}

/* The same of what one address sends to a group of IPv4. */
static int change_source(int fd, int option, const char *group, const char *source)
{
	struct group_source_req request = { .gsr_interface = if_nametoindex("lo") };
	struct end at = make_end(AF_INET, group, 0), from = make_end(AF_INET, source, 0);

	memcpy(&request.gsr_group, &at.at, at.len);
	memcpy(&request.gsr_source, &from.at, from.len);
	return setsockopt(fd, IPPROTO_IP, option, &request, sizeof(request)) ? -errno : 0;
}

static void talk(const char *name, int from, int to, struct end sender)
{
	char with[64];

	send_to(from, own_end(to), 77, 7);
	snprintf(with, sizeof(with), "%s: goes on", name);
	struct pollfd poll_it = { .fd = to, .events = POLLIN };
	poll(&poll_it, 1, 5000);
	check_datagram(with, to, 77, 7, sender);
}

int main(void)
{
	struct end none = { 0 };
	struct sock_filter first_bytes[] = {
		{ BPF_RET | BPF_K, 0, 0, 40 }, /* the header of UDP, and 32 bytes */
	};
	struct sock_fprog program = { 1, first_bytes };

	subject_init();
	int a = bound(AF_INET, "127.0.0.1"), b = bound(AF_INET, "127.0.0.1"), idle = new_inet(AF_INET, SOCK_DGRAM);
	int any = bound(AF_INET, "0.0.0.0"), six = bound(AF_INET6, "::1"), both = bound(AF_INET6, "::");
	int gone = bound(AF_INET, "127.0.0.1"), client = new_inet(AF_INET, SOCK_DGRAM);
	struct end end_a = own_end(a), end_b = own_end(b), end_any = own_end(any), end_six = own_end(six);
	struct end end_both = own_end(both), end_gone = own_end(gone);

	/* What waits. */
	send_to(a, end_b, 100, 1);
	send_to(gone, end_b, 0, 0);
	send_to(gone, end_b, 40000, 2);
	close(gone);
	send_to(a, make_end(AF_INET, "127.0.0.1", ntohs(end_any.at.four.sin_port)), 5, 3);
	send_to(six, end_six, 300, 4);
	send_to(a, make_end(AF_INET, "127.0.0.1", ntohs(end_both.at.six.sin6_port)), 50, 5);
	connect_end(client, end_b);
	send_data(client, 1, 9);
	struct end end_client = own_end(client);
	send_to(b, end_client, 64, 6);

	/* Half of the connection. */
	int half = new_inet(AF_INET, SOCK_DGRAM);
	connect_end(half, end_a);
	if (shutdown(half, SHUT_WR))
		die("shutdown");

	/* Options, groups, a filter, a device. */
	int set = new_inet(AF_INET, SOCK_DGRAM);
	for (size_t i = 0; i < COUNT; i++)
		set_inet_option(set, OPTIONS[i].level, OPTIONS[i].option, OPTIONS[i].value);
	if (setsockopt(set, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3))
		die("SO_BINDTODEVICE");
	int set_six = new_inet(AF_INET6, SOCK_DGRAM);
	set_inet_option(set_six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set_inet_option(set_six, IPPROTO_IPV6, IPV6_TCLASS, 8);
	set_inet_option(set_six, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set_inet_option(set_six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	struct ip_mreqn request = { .imr_ifindex = if_nametoindex("lo") };
	inet_pton(AF_INET, "239.1.2.3", &request.imr_multiaddr);
	if (setsockopt(set, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)))
		die("IP_ADD_MEMBERSHIP");
	if (change_six(set_six, IPV6_ADD_MEMBERSHIP, "ff02::1234"))
		die("IPV6_ADD_MEMBERSHIP");
	/* Of two addresses, and of all but one. */
	int choosing = new_inet(AF_INET, SOCK_DGRAM);
	if (change_source(choosing, MCAST_JOIN_SOURCE_GROUP, "239.1.2.4", "127.0.0.1") ||
	    change_source(choosing, MCAST_JOIN_SOURCE_GROUP, "239.1.2.4", "127.0.0.2"))
		die("MCAST_JOIN_SOURCE_GROUP");
	inet_pton(AF_INET, "239.1.2.5", &request.imr_multiaddr);
	if (setsockopt(choosing, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)) ||
	    change_source(choosing, MCAST_BLOCK_SOURCE, "239.1.2.5", "127.0.0.3"))
		die("MCAST_BLOCK_SOURCE");
	/* Of another user. */
	int owned = new_inet(AF_INET, SOCK_DGRAM);
	if (fchown(owned, 1234, 5678))
		die("fchown");
	int filtered = bound(AF_INET, "127.0.0.1");
	send_to(a, own_end(filtered), 70, 8);
	if (setsockopt(filtered, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		die("SO_ATTACH_FILTER");
	set_inet_option(filtered, SOL_SOCKET, SO_LOCK_FILTER, 1);

	/* An address that nobody has (RFC 5737), bound to when that was allowed. */
	int foreign = new_inet(AF_INET, SOCK_DGRAM);
	set_inet_option(foreign, IPPROTO_IP, IP_FREEBIND, 1);
	bind_end(foreign, make_end(AF_INET, "192.0.2.7", 0));
	set_inet_option(foreign, IPPROTO_IP, IP_FREEBIND, 0);
	struct end end_foreign = own_end(foreign);

	/* Two with one port: what waits in each stays in it. */
	int twins[2] = { new_inet(AF_INET, SOCK_DGRAM), new_inet(AF_INET, SOCK_DGRAM) };
	struct end twin = make_end(AF_INET, "127.0.0.1", 0);
	for (int i = 0; i < 2; i++) {
		set_inet_option(twins[i], SOL_SOCKET, SO_REUSEPORT, 1);
		bind_end(twins[i], twin);
		twin = own_end(twins[0]);
	}
	int had[2] = { 0, 0 };
	for (int i = 0; i < 8; i++) {
		int sender = bound(AF_INET, "127.0.0.1");
		send_to(sender, twin, 30, 30 + i);
		close(sender);
	}
	for (int i = 0; i < 2; i++)
		while (recv(twins[i], message_bytes, sizeof(message_bytes), MSG_DONTWAIT) == 30)
			had[i]++;
	for (int i = 0; i < 8; i++) {
		int sender = bound(AF_INET, "127.0.0.1");
		send_to(sender, twin, 30, 30);
		close(sender);
	}
	int has[2] = { 0, 0 }, size = 0;
	set_option(twins[0], SO_PEEK_OFF, 0);
	while (recv(twins[0], message_bytes, sizeof(message_bytes), MSG_DONTWAIT | MSG_PEEK) == 30)
		has[0]++;
	set_option(twins[0], SO_PEEK_OFF, -1);
	if (ioctl(twins[1], FIONREAD, &size) || had[0] + had[1] != 8)
		die("the port that two share");
	ready();
	wait_for_term();

	check_ends("bound", a, end_a, none);
	check_ends("to any address", any, end_any, none);
	check_ends("IPv6", six, end_six, none);
	check_ends("IPv6 and IPv4", both, end_both, none);
	check_ends("connected", client, end_client, end_b);
	check_equal("not bound", ntohs(own_end(idle).at.four.sin_port), 0);
	check_datagram("first", b, 100, 1, end_a);
	check_datagram("empty", b, 0, 0, end_gone);
	check_datagram("of one that is gone", b, 40000, 2, end_gone);
	check_datagram("of the connected one", b, 1, 9, end_client);
	check_empty("no more", b);
	check_datagram("at any address", any, 5, 3, end_a);
	check_datagram("over IPv6", six, 300, 4, end_six);
	char mapped[64], text[32];
	snprintf(mapped, sizeof(mapped), "::ffff:%s", inet_ntop(AF_INET, &end_a.at.four.sin_addr, text, sizeof(text)));
	check_datagram("of IPv4 over IPv6", both, 50, 5, make_end(AF_INET6, mapped, ntohs(end_a.at.four.sin_port)));
	check_datagram("at the connected one", client, 64, 6, end_b);
	check_fails("nothing can be sent", send(half, "x", 1, MSG_NOSIGNAL), EPIPE);
	check_ends("half of a connection", half, own_end(half), end_a);
	check_ends("to an address of nobody", foreign, end_foreign, none);
	check_equal("no IP_FREEBIND", inet_option(foreign, IPPROTO_IP, IP_FREEBIND), 0);
	talk("bound", a, b, end_a);
	talk("connected", client, b, end_client);
	talk("IPv6", six, six, end_six);

	for (size_t i = 0; i < COUNT; i++)
		check_equal(OPTIONS[i].name, inet_option(set, OPTIONS[i].level, OPTIONS[i].option), OPTIONS[i].want);
	char device[IF_NAMESIZE] = "";
	socklen_t len = sizeof(device);
	getsockopt(set, SOL_SOCKET, SO_BINDTODEVICE, device, &len);
	check(!strcmp(device, "lo"), "SO_BINDTODEVICE", "it is %s", device);
	check_member("IP_ADD_MEMBERSHIP", set, "239.1.2.3");
	check_equal("IPV6_ADD_MEMBERSHIP", change_six(set_six, IPV6_DROP_MEMBERSHIP, "ff02::1234"), 0);
	for (int i = 1; i <= 2; i++) {
		char source[] = { '1', '2', '7', '.', '0', '.', '0', '.', '0' + i, 0 };
		check_equal("MCAST_JOIN_SOURCE_GROUP",
			    change_source(choosing, MCAST_LEAVE_SOURCE_GROUP, "239.1.2.4", source), 0);
	}
	check_member("a group but for one", choosing, "239.1.2.5");
	check_equal("MCAST_BLOCK_SOURCE", change_source(choosing, MCAST_UNBLOCK_SOURCE, "239.1.2.5", "127.0.0.3"), 0);
	check_equal("IPV6_V6ONLY", inet_option(set_six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	check_equal("IPV6_TCLASS", inet_option(set_six, IPPROTO_IPV6, IPV6_TCLASS), 8);
	check_equal("IPV6_RECVPKTINFO", inet_option(set_six, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
	check_equal("IPV6_UNICAST_HOPS", inet_option(set_six, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
	struct stat status;
	if (fstat(owned, &status))
		die("fstat");
	check_equal("its user", status.st_uid, 1234);
	check_equal("its group", status.st_gid, 5678);
	check_datagram("before the filter", filtered, 70, 8, end_a);
	send_to(a, own_end(filtered), 70, 9);
	check_datagram("behind the filter", filtered, 32, 9, end_a);
	int now[2] = { 0, 0 };
	for (int i = 0; i < 2; i++)
		while (recv(twins[i], message_bytes, sizeof(message_bytes), MSG_DONTWAIT) == 30)
			now[i]++;
	check_equal("the first of two with one port", now[0], has[0]);
	check_equal("both of them", now[0] + now[1], 8);
	finish();
}
