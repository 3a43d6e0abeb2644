/*
 * Holds an internet socket that cannot be saved, and says at the end whether what is in it is still there.
 *
 * Usage: inet_refused urgent   urgent data that was not received
 *        inet_refused mark     data behind urgent data that was
 *        inet_refused more     a datagram that is begun and not sent (MSG_MORE)
 *        inet_refused corked   the same by UDP_CORK
 *        inet_refused packet   a raw socket in which a packet waits
 *        inet_refused raw      the same of a protocol of the kernel's own
 *        inet_refused filter   a filter of eBPF
 */
#include "ebpf.h"
#include "inet.h"

static void send_bytes(int fd, const char *bytes, int flags)
{
	ssize_t size = strlen(bytes);

	if (send(fd, bytes, size, flags) != size)
		die("send");
}

static void check_comes(int fd, const char *want, int flags)
{
	char got[64] = "";
	struct pollfd poll_it = { .fd = fd, .events = POLLIN | POLLPRI };

	poll(&poll_it, 1, 10000);
	ssize_t n = recv(fd, got, sizeof(got) - 1, flags | MSG_DONTWAIT);
	check(n == (ssize_t)strlen(want) && !strcmp(got, want), want, "recv gives %zd, '%s', errno %d", n, got, errno);
}

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, "urgent");
	bool of_kernel = !strcmp(what, "raw"), is_raw = of_kernel || !strcmp(what, "packet"), is_tcp = !strcmp(what, "urgent") || !strcmp(what, "mark");
	/* A number that no protocol has, or UDP's, for which the packet is too small. */
	int protocol = of_kernel ? IPPROTO_UDP : 253;
	int fd = is_raw ? socket(AF_INET, SOCK_RAW, protocol) : new_inet(AF_INET, is_tcp ? SOCK_STREAM : SOCK_DGRAM);
	int from = is_raw ? socket(AF_INET, SOCK_RAW, protocol) : new_inet(AF_INET, is_tcp ? SOCK_STREAM : SOCK_DGRAM);
	int on = 1, off = 0, listener = fd;

	subject_init();
	bind_end(fd, make_end(AF_INET, is_raw ? "127.77.0.1" : "127.0.0.1", 0));
	if (is_tcp && listen(fd, 1))
		die("listen");
	connect_end(from, own_end(fd));
	if (is_tcp) {
		fd = accept(listener, NULL, NULL);
		send_bytes(from, "abc", 0);
		send_bytes(from, "X", MSG_OOB);
		send_bytes(from, "def", 0);
		if (!strcmp(what, "mark"))
			check_comes(fd, "X", MSG_OOB);
		/* The last bytes are there when the end is. */
		if (shutdown(from, SHUT_WR))
			die("shutdown");
		struct pollfd poll_it = { .fd = fd, .events = POLLRDHUP };
		poll(&poll_it, 1, 10000);
	} else if (!strcmp(what, "corked")) {
		if (setsockopt(from, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)))
			die("UDP_CORK");
		send_bytes(from, "abc", 0);
	} else if (!strcmp(what, "filter")) {
		attach_ebpf(fd);
		send_bytes(from, "abc", 0);
	} else {
		send_bytes(from, "abc", is_raw ? 0 : MSG_MORE);
	}
	ready();
	wait_for_term();
	if (is_raw) {
		/* With the header of IPv4 before it. */
		char got[64];
		ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
		check(n == 23 && !memcmp(got + 20, "abc", 3), "raw", "recv gives %zd, errno %d", n, errno);
	} else if (!is_tcp) {
		if (setsockopt(from, IPPROTO_UDP, UDP_CORK, &off, sizeof(off)))
			die("UDP_CORK");
		check_comes(fd, "abc", 0);
	} else {
		check_comes(fd, "abc", 0);
		if (!strcmp(what, "urgent"))
			check_comes(fd, "X", MSG_OOB);
		check_comes(fd, "def", 0);
	}
	finish();
}
