/*
 * packet(7) sockets: bound and not, with options, filters, memberships and a group, on the loopback interface.
 */
#include "sockets.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/mman.h>

#define LENGTH 60

/* A protocol that nobody has, and a group: of this process alone, since others may run this program, too. */
static int own_protocol, own_group;

static int new_packet(int type, int protocol)
{
	int fd = socket(AF_PACKET, type | SOCK_NONBLOCK, htons(protocol));

	if (fd < 0 && errno == EAFNOSUPPORT)
		unsupported("this kernel has no packet sockets");
	if (fd < 0)
		die("socket(AF_PACKET, %d)", type);
	return fd;
}

static void bind_packet(int fd, int protocol)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = if_nametoindex("lo"),
	};

	if (bind(fd, (void *)&at, sizeof(at)))
		die("bind");
}

static void set(int fd, int name, int value)
{
	if (setsockopt(fd, SOL_PACKET, name, &value, sizeof(value)))
		die("setsockopt(SOL_PACKET, %d)", name);
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -errno : value;
}

static void join(int fd, int type, const unsigned char *address, int length)
{
	struct packet_mreq request = { .mr_ifindex = if_nametoindex("lo"), .mr_type = type, .mr_alen = length };

	memcpy(request.mr_address, address, length);
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)))
		die("PACKET_ADD_MEMBERSHIP");
}

/* What leaves a membership that is there; one that is not says EADDRNOTAVAIL. */
static int leave(int fd, int type, const unsigned char *address, int length)
{
	struct packet_mreq request = { .mr_ifindex = if_nametoindex("lo"), .mr_type = type, .mr_alen = length };

	memcpy(request.mr_address, address, length);
	return setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof(request)) ? -errno : 0;
}

static void check_bound(const char *name, int fd, int protocol, const char *interface)
{
	struct sockaddr_ll at = { 0 };
	socklen_t len = sizeof(at);

	getsockname(fd, (void *)&at, &len);
	check(ntohs(at.sll_protocol) == protocol && at.sll_ifindex == (int)if_nametoindex(interface), name,
	      "protocol %#x, interface %d", ntohs(at.sll_protocol), at.sll_ifindex);
}

/* Sends a frame through the loopback interface. */
static void send_frame(int fd)
{
	unsigned char frame[LENGTH] = { [12] = own_protocol >> 8, [13] = own_protocol & 0xff };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("lo"), .sll_halen = 6 };

	ssize_t sent = sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to));
	check(sent == sizeof(frame), "a frame is sent", "%zd, errno %d", sent, errno);
}

static void check_hears(const char *name, int fd, ssize_t want)
{
	struct pollfd comes = { .fd = fd, .events = POLLIN };
	int ready = poll(&comes, 1, want < 0 ? 0 : 10000);
	ssize_t got = recv(fd, message_bytes, sizeof(message_bytes), 0);

	check(ready == (want < 0 ? 0 : 1) && got == want, name, "poll gives %d, recv %zd, errno %d", ready, got, errno);
}

int main(void)
{
	subject_init();
	own_protocol = 0x9000 | (getpid() & 0xfff);
	own_group = getpid() & 0xffff;
	unsigned char multicast[6] = { 1, 0, 0x5e, 1, 2, 3 };
	int sender = new_packet(SOCK_RAW, 0);
	int raw = new_packet(SOCK_RAW, 0);
	set(raw, PACKET_VERSION, TPACKET_V2);
	set(raw, PACKET_RESERVE, 32);
	set(raw, PACKET_AUXDATA, 1);
	set(raw, PACKET_ORIGDEV, 1);
	set(raw, PACKET_LOSS, 1);
	set(raw, PACKET_IGNORE_OUTGOING, 1);
	join(raw, PACKET_MR_MULTICAST, multicast, sizeof(multicast));
	join(raw, PACKET_MR_MULTICAST, multicast, sizeof(multicast));
	join(raw, PACKET_MR_ALLMULTI, multicast, 0);
	bind_packet(raw, own_protocol);

	/* A ring that nobody has mapped. */
	struct tpacket_req ring = { .tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4 };
	int ringed = new_packet(SOCK_RAW, 0);
	if (setsockopt(ringed, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)))
		die("PACKET_RX_RING");

	/* The same, but nothing passes its filter. */
	struct sock_filter nothing = { .code = BPF_RET | BPF_K };
	struct sock_fprog filter = { .len = 1, .filter = &nothing };
	int deaf = new_packet(SOCK_RAW, 0);
	if (setsockopt(deaf, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		die("SO_ATTACH_FILTER");
	bind_packet(deaf, own_protocol);

	int cooked = new_packet(SOCK_DGRAM, own_protocol);
	int old = socket(AF_PACKET, SOCK_PACKET | SOCK_NONBLOCK, htons(own_protocol));
	if (old < 0)
		die("socket(SOCK_PACKET)");
	struct sockaddr name = { .sa_family = AF_PACKET, .sa_data = "lo" };
	if (bind(old, &name, sizeof(name)))
		die("bind");
	int group = new_packet(SOCK_DGRAM, 0);
	bind_packet(group, own_protocol);
	set(group, PACKET_FANOUT, own_group | PACKET_FANOUT_LB << 16);
	ready();
	wait_for_term();

	check_bound("an unbound one", sender, 0, "");
	check_bound("bound to an interface", raw, own_protocol, "lo");
	check_bound("of all interfaces", cooked, own_protocol, "");
	check_equal("SOCK_DGRAM", get(cooked, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	check_equal("SOCK_PACKET", get(old, SOL_SOCKET, SO_TYPE), SOCK_PACKET);
	check_equal("PACKET_VERSION", get(raw, SOL_PACKET, PACKET_VERSION), TPACKET_V2);
	check_equal("PACKET_RESERVE", get(raw, SOL_PACKET, PACKET_RESERVE), 32);
	check_equal("PACKET_AUXDATA", get(raw, SOL_PACKET, PACKET_AUXDATA), 1);
	check_equal("PACKET_ORIGDEV", get(raw, SOL_PACKET, PACKET_ORIGDEV), 1);
	check_equal("PACKET_LOSS", get(raw, SOL_PACKET, PACKET_LOSS), 1);
	check_equal("PACKET_IGNORE_OUTGOING", get(raw, SOL_PACKET, PACKET_IGNORE_OUTGOING), 1);
	check_equal("PACKET_FANOUT", get(group, SOL_PACKET, PACKET_FANOUT), own_group | PACKET_FANOUT_LB << 16);
	void *mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, ringed, 0);
	check(mapped != MAP_FAILED, "its ring is there", "errno %d", errno);
	check_equal("no group", get(raw, SOL_PACKET, PACKET_FANOUT), 0);
	send_frame(sender);
	check_hears("a frame is heard", raw, LENGTH);
	check_hears("a filter", deaf, -1);
	check_hears("without its head", cooked, LENGTH - ETH_HLEN);
	check_hears("by the old kind", old, LENGTH);
	check_hears("by the group", group, LENGTH - ETH_HLEN);
	for (int time = 0; time < 2; time++)
		check_equal("it had joined twice", leave(raw, PACKET_MR_MULTICAST, multicast, sizeof(multicast)), 0);
	check_equal("and for all", leave(raw, PACKET_MR_ALLMULTI, multicast, 0), 0);
	check_equal("SO_TYPE", get(raw, SOL_SOCKET, SO_TYPE), SOCK_RAW);
	finish();
}
