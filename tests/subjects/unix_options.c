/*
 * Options of unix sockets, filters, who made their other end, and messages that say who sent them.
 */
#include "sockets.h"

#include <grp.h>
#include <linux/filter.h>

#define USER 1234
#define GROUP 4321

static const struct {
	const char *name;
	int option, value, want;
} OPTIONS[] = {
	{ "SO_SNDBUF", SO_SNDBUF, 20000, 40000 },
	{ "SO_RCVBUF", SO_RCVBUF, 30000, 60000 },
	{ "SO_PASSCRED", SO_PASSCRED, 1, 1 },
	{ "SO_PASSSEC", SO_PASSSEC, 1, 1 },
	{ "SO_RCVLOWAT", SO_RCVLOWAT, 7, 7 },
	{ "SO_PRIORITY", SO_PRIORITY, 3, 3 },
	{ "SO_BROADCAST", SO_BROADCAST, 1, 1 },
	{ "SO_KEEPALIVE", SO_KEEPALIVE, 1, 1 },
	{ "SO_OOBINLINE", SO_OOBINLINE, 1, 1 },
	{ "SO_DONTROUTE", SO_DONTROUTE, 1, 1 },
	{ "SO_REUSEADDR", SO_REUSEADDR, 1, 1 },
	{ "SO_TIMESTAMP", SO_TIMESTAMP, 1, 1 },
	{ "SO_PEEK_OFF", SO_PEEK_OFF, 5, 5 },
	{ "SO_DEBUG", SO_DEBUG, 1, 1 },
	{ "SO_TIMESTAMPING", SO_TIMESTAMPING, 8, 8 }, /* SOF_TIMESTAMPING_RX_SOFTWARE */
	{ "SO_WIFI_STATUS", SO_WIFI_STATUS, 1, 1 },
	{ "SO_NOFCS", SO_NOFCS, 1, 1 },
	{ "SO_LOCK_FILTER", SO_LOCK_FILTER, 1, 1 },
	{ "SO_SELECT_ERR_QUEUE", SO_SELECT_ERR_QUEUE, 1, 1 },
	{ "SO_MAX_PACING_RATE", SO_MAX_PACING_RATE, 12345, 12345 },
	{ "SO_INCOMING_CPU", SO_INCOMING_CPU, 1, 1 },
	{ "SO_RCVMARK", SO_RCVMARK, 1, 1 },
};
#define COUNT (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

static void check_timeout(const char *name, int fd, int option, long sec, long usec)
{
	struct timeval t = { -1, -1 };
	socklen_t len = sizeof(t);

	getsockopt(fd, SOL_SOCKET, option, &t, &len);
	check(t.tv_sec == sec && t.tv_usec == usec, name, "%ld s %ld us", (long)t.tv_sec, (long)t.tv_usec);
}

/* A pair made with other effective ids. */
static struct ends pair_as(uid_t uid, gid_t gid)
{
	gid_t groups[] = { 7, 8, 9 };

	if (setgroups(3, groups) || setegid(gid) || seteuid(uid))
		die("effective ids");
	struct ends pair = make_pair(SOCK_STREAM);
	if (seteuid(0) || setegid(0) || setgroups(0, NULL))
		die("ids of root");
	return pair;
}

/* Cuts what comes for a socket from here on. */
static void attach_filter(int fd, unsigned bytes)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 },
		{ BPF_JMP | BPF_JGE | BPF_K, 0, 1, 90 },
		{ BPF_RET | BPF_K, 0, 0, 0 }, /* longer ones are thrown away */
		{ BPF_RET | BPF_K, 0, 0, bytes },
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		die("SO_ATTACH_FILTER");
}

static int filter_length(int fd)
{
	socklen_t count = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, NULL, &count) ? -errno : (int)count;
}

/* What waited before is whole, and what was cut comes before what is cut now. */
static void check_filter(const char *name, struct ends pair, unsigned bytes)
{
	check_received(name, pair.b, 70, 1);
	check_received(name, pair.b, bytes, 2);
	send_data(pair.a, 70, 3);
	send_data(pair.a, 100, 4);
	send_data(pair.a, 80, 5);
	check_received(name, pair.b, bytes, 3);
	check_received(name, pair.b, bytes, 5);
	check_empty(name, pair.b);
}

int main(void)
{
	struct timeval sending = { 3, 500000 }, receiving = { 2, 600000 };
	struct linger lingering = { 1, 12 };
	int nothing = 0;

	subject_init();
	struct ends plain = make_pair(SOCK_STREAM), set = make_pair(SOCK_SEQPACKET);
	for (size_t i = 0; i < COUNT; i++)
		set_option(set.a, OPTIONS[i].option, OPTIONS[i].value);
	if (setsockopt(set.a, SOL_SOCKET, SO_SNDTIMEO, &sending, sizeof(sending)) ||
	    setsockopt(set.a, SOL_SOCKET, SO_RCVTIMEO, &receiving, sizeof(receiving)) ||
	    setsockopt(set.a, SOL_SOCKET, SO_LINGER, &lingering, sizeof(lingering)))
		die("setsockopt");
	int send_size = option(plain.a, SO_SNDBUF), receive_size = option(plain.a, SO_RCVBUF);
	/* More waits than the sender may send by now. */
	struct ends shrunk = make_pair(SOCK_DGRAM);
	for (int i = 0; i < 20; i++)
		send_data(shrunk.a, 5000, i);
	set_option(shrunk.a, SO_SNDBUF, 1);

	/* Filters of the same length; no other can come in place of one. */
	struct ends cut = make_pair(SOCK_DGRAM), other = make_pair(SOCK_SEQPACKET), bytes = make_pair(SOCK_STREAM);
	send_data(cut.a, 70, 1);
	send_data(other.a, 70, 1);
	send_data(bytes.a, 70, 1);
	attach_filter(cut.b, 32);
	attach_filter(other.b, 40);
	attach_filter(bytes.b, 20);
	set_option(cut.b, SO_LOCK_FILTER, 1);
	send_data(cut.a, 70, 2);
	send_data(other.a, 70, 2);

	/* One message came before anybody asked who sent it. */
	struct ends named = make_pair(SOCK_DGRAM), stream = make_pair(SOCK_STREAM);
	if (send(named.a, "0", 1, 0) != 1)
		die("send");
	set_option(named.b, SO_PASSCRED, 1);
	set_option(stream.b, SO_PASSCRED, 1);
	/* One came from somebody who is gone. */
	pid_t gone = fork_child();
	if (gone == 0) {
		if (setuid(USER) || send(named.a, "1", 1, 0) != 1 || send(stream.a, "a", 1, 0) != 1)
			die("child that ends");
		_exit(0);
	}
	if (waitpid(gone, NULL, 0) != gone)
		die("waitpid");
	struct ends strange = pair_as(USER, GROUP);
	int told[2];
	if (pipe(told))
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		if (setuid(USER) || send(named.a, "2", 1, 0) != 1 || send(stream.a, "b", 1, 0) != 1)
			die("child");
		struct ucred mine = { getpid(), USER, 0 };
		struct ends own = make_pair(SOCK_STREAM);
		child_is_ready(told);
		wait_for_term();
		check_peer("child: own pair", own.a, mine);
		child_finish();
	}
	wait_for_child(told);
	if (send(named.a, "3", 1, 0) != 1 || send(stream.a, "c", 1, 0) != 1)
		die("send");
	ready();
	wait_for_term();

	for (size_t i = 0; i < COUNT; i++)
		check_equal(OPTIONS[i].name, option(set.a, OPTIONS[i].option), OPTIONS[i].want);
	check_timeout("SO_SNDTIMEO", set.a, SO_SNDTIMEO, 3, 500000);
	check_timeout("SO_RCVTIMEO", set.a, SO_RCVTIMEO, 2, 600000);
	struct linger got = { 0, 0 };
	socklen_t len = sizeof(got);
	getsockopt(set.a, SOL_SOCKET, SO_LINGER, &got, &len);
	check(got.l_onoff == 1 && got.l_linger == 12, "SO_LINGER", "%d, %d s", got.l_onoff, got.l_linger);
	check_equal("size to send", option(plain.a, SO_SNDBUF), send_size);
	check_equal("size to receive", option(plain.b, SO_RCVBUF), receive_size);
	check_timeout("no timeout", plain.a, SO_RCVTIMEO, 0, 0);
	check_equal("no peek offset", option(plain.a, SO_PEEK_OFF), -1);
	for (int i = 0; i < 20; i++)
		check_received("more than may be sent", shrunk.b, 5000, i);
	check_equal("size after that", option(shrunk.a, SO_SNDBUF), 4608);

	check_filter("a filter", cut, 32);
	check_filter("another filter", other, 40);
	check_received("a stream, which no filter cuts", bytes.b, 70, 1);
	check_equal("instructions of its filter", filter_length(bytes.b), 4);
	check_equal("instructions of a locked filter", filter_length(cut.b), 4);
	check_fails("a locked filter is taken away", setsockopt(cut.b, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof(nothing)), EPERM);

	check_sender("sender nobody took down", named.b, '0', 0, 65534);
	check_sender("sender: one that is gone", named.b, '1', gone, USER);
	check_sender("sender: one that is gone, stream", stream.b, 'a', gone, USER);
	check_sender("sender: child", named.b, '2', child, USER);
	check_sender("sender: parent", named.b, '3', getpid(), 0);
	check_sender("sender: child, stream", stream.b, 'b', child, USER);
	check_sender("sender: parent, stream", stream.b, 'c', getpid(), 0);
	check_peer("maker with other ids", strange.a, (struct ucred){ getpid(), USER, GROUP });
	gid_t groups[8];
	len = sizeof(groups);
	int result = getsockopt(strange.a, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	check(result == 0 && len == 3 * sizeof(gid_t) && groups[0] == 7 && groups[2] == 9, "maker's groups",
	      "%d, %u bytes", result, (unsigned)len);
	end_child("child", child);
	finish();
}
